import numpy as np
import pytest
from written import aedat31, polarity_packet, write_set

from edgesnn.errors import InputError
from edgesnn.models.gesture.dvs_gesture import dvs_gesture, events_from_aedat31


def test_reads_every_field_of_every_valid_polarity_event(tmp_path):
    write_set(tmp_path)
    events = events_from_aedat31(tmp_path / "user01_led.aedat")
    assert events["t"].tolist() == [1000, 1500, 2500, 9000]
    assert events["x"].tolist() == [5, 127, 64, 3]
    assert events["y"].tolist() == [7, 0, 127, 4]
    assert events["p"].tolist() == [1, 0, 1, 1]


def test_invalid_events_are_left_out_and_the_overflow_is_added(tmp_path):
    write_set(tmp_path)
    events = events_from_aedat31(tmp_path / "user24_led.aedat")
    assert events["t"].tolist() == [2**31 + 10]


def test_splits_labels_and_times(tmp_path):
    write_set(tmp_path)
    first, second = dvs_gesture(tmp_path, "train")
    assert (first.label, second.label) == (0, 10)
    assert first.t.tolist() == [0, 500]
    assert second.x.tolist() == [64.0, 3.0]
    (test,) = dvs_gesture(tmp_path, "test")
    assert test.label == 3
    assert np.array_equal(test.p, [0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "trials_to_train.txt").unlink(), "trials_to_train.txt is missing"),
        (lambda d: (d / "user01_led_labels.csv").unlink(), "user01_led_labels.csv is missing"),
        (lambda d: (d / "user01_led.aedat").unlink(), "names user01_led.aedat"),
        (
            lambda d: (d / "user01_led_labels.csv").write_text(
                "class,startTime_usec,endTime_usec\n12,0,1\n"
            ),
            "line 2: class 12",
        ),
        (lambda d: (d / "user01_led_labels.csv").write_text("a,b\n1,2\n"), "line 2: wanted class"),
        (lambda d: (d / "user01_led.aedat").write_bytes(b"RIFF"), "not an AEDAT 3"),
        (lambda d: (d / "user01_led.aedat").write_bytes(b"#!AER-DAT3.1\r\n"), "END-HEADER"),
        (
            lambda d: (d / "user01_led.aedat").write_bytes(
                (d / "user01_led.aedat").read_bytes()[:-3]
            ),
            "truncated",
        ),
        (
            lambda d: (d / "user01_led.aedat").write_bytes(
                aedat31(polarity_packet([1], [200], [0], [1], [1]))
            ),
            "outside 128 x 128",
        ),
    ],
)
def test_each_defect_is_one_clear_error(tmp_path, spoil, message):
    write_set(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        dvs_gesture(tmp_path, "train")
