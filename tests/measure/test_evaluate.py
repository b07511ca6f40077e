from dataclasses import replace

import numpy as np
import pytest

from edgesnn.bundle import Bundle
from edgesnn.decide.evidence import ReadoutSpec
from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.measure.evaluate import evaluate
from edgesnn.program import Layer, Program
from edgesnn.senses.encoder import EncoderSpec
from edgesnn.sources.found import Found

STEP = 10_000


class Remembering:
    """Three classes, by the columns that see events; `memory` is what one step leaves for the next.

    The true programs get rid of old input after a few steps; this one shows whether it was reset.
    """

    def __init__(self) -> None:
        weight = np.zeros((3, 2, 4, 4), np.int8)
        for index in range(3):
            weight[index, :, :, index] = 1
        self.program = Program(
            name="columns",
            step_us=STEP,
            input_shape=(2, 4, 4),
            input_high=255,
            nodes=(Layer("out", "x", "w", op="linear"),),
            output="out",
            tensors={"w": weight.reshape(3, -1)},
        )
        self.memory = np.zeros(3, np.int32)

    def stream(self) -> "Remembering":
        return self

    def reset(self) -> None:
        self.memory = np.zeros(3, np.int32)

    def step(self, x: np.ndarray) -> np.ndarray:
        y = self.program.tensors["w"].astype(np.int32) @ x.reshape(-1) + self.memory
        self.memory = y // 2
        return y.astype(np.int32)


@pytest.fixture
def model() -> Remembering:
    return Remembering()


@pytest.fixture
def bundle(model) -> Bundle:
    readout = ReadoutSpec(("a", "b", "c"), 20.0, 2, 0.9, 0.4, quiet_events=5, quiet_us=2 * STEP)
    encoder = EncoderSpec((16, 16), tuple(range(256)))
    return Bundle(model.program, encoder, readout, {}, b"", {})


def recording(*classes: int | None, start_us: int = 5_000, per_step: int = 40) -> np.ndarray:
    """One step for each class (events in its column), None for darkness."""
    t, x = [], []
    for number, index in enumerate(classes):
        if index is not None:
            t.append(start_us + number * STEP + np.arange(per_step) * (STEP // per_step))
            x.append(np.full(per_step, index * 4 + 1))
    times = np.concatenate(t)
    return events_from_arrays(times, np.concatenate(x), np.zeros(len(times)), np.ones(len(times)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A function that makes a folder of recordings, read by a stand-in for the file readers."""
    contents = {}

    def read_recording(path, size, unit):
        events = contents[path.name]
        notes = ("mended",) if "odd" in path.name else ()
        return Found(events, size or ((8, 8) if "small" in path.name else (16, 16)), notes)

    monkeypatch.setattr("edgesnn.measure.evaluate.read_recording", read_recording)

    def make(recordings: dict[str, tuple[np.ndarray, int]]):
        for name, (events, _) in recordings.items():
            contents[name] = events
            (tmp_path / name).write_bytes(b"")
        lines = [f"{name},{label},some class" for name, (_, label) in recordings.items()]
        (tmp_path / "labels.csv").write_text("\n".join(["file,label,name", *lines, ""]))
        return tmp_path

    return make


def test_the_report(bundle, model, folder):
    directory = folder(
        {
            "one.npz": (recording(0, 0, 0), 0),
            "two.npz": (recording(1, 1, 2, 2, 2, 2), 2),
            "three.npz": (recording(1, 1, 1), 0),
        }
    )
    assert evaluate(bundle, model, directory) == {
        "accuracy": 2 / 3,
        "n": 3,
        "correct": 2,
        "per_file": [
            {"file": "one.npz", "label": 0, "predicted": 0, "decided_at_us": 20_000, "notes": []},
            {"file": "two.npz", "label": 2, "predicted": 2, "decided_at_us": 50_000, "notes": []},
            {"file": "three.npz", "label": 0, "predicted": 1, "decided_at_us": 20_000, "notes": []},
        ],
        "confusion": [[1, 1, 0], [0, 0, 0], [0, 0, 1]],
        "exit": None,
    }


def test_what_was_mended_is_told_of_each_recording(bundle, model, folder):
    directory = folder({"odd.npz": (recording(0, 0, 0), 0), "good.npz": (recording(1, 1, 1), 1)})
    report = evaluate(bundle, model, directory, size=(16, 16), unit="us")
    assert [row["notes"] for row in report["per_file"]] == [["mended"], []]


def test_a_recording_that_never_made_it_sure_gets_the_best_guess(bundle, model, folder):
    directory = folder({"short.npz": (recording(1), 1)})
    report = evaluate(bundle, model, directory)
    assert report["per_file"][0] == {
        "file": "short.npz",
        "label": 1,
        "predicted": 1,
        "decided_at_us": None,
        "notes": [],
    }
    assert report["accuracy"] == 1.0


def test_without_any_evidence_nothing_is_predicted_and_that_is_wrong(bundle, model, folder):
    directory = folder({"dark.npz": (recording(0, per_step=4), 0)})
    report = evaluate(bundle, model, directory)
    assert report["per_file"][0]["predicted"] == -1
    assert (report["correct"], report["confusion"]) == (0, [[0] * 3] * 3)


def test_a_decision_given_up_in_the_quiet_and_taken_again_dates_from_the_first_time(
    bundle, model, folder
):
    pause = [0, 0, 0, None, None, None, 0, 0, 0]
    directory = folder({"pause.npz": (recording(*pause), 0)})
    assert evaluate(bundle, model, directory)["per_file"][0]["decided_at_us"] == 20_000


def test_the_decision_stands_at_the_end_of_a_quiet_recording(bundle, model, folder):
    events = np.concatenate([recording(2, 2, 2), recording(2, start_us=200_000, per_step=1)])
    report = evaluate(bundle, model, folder({"quiet.npz": (events, 2)}))
    assert report["per_file"][0]["predicted"] == 2
    assert report["per_file"][0]["decided_at_us"] == 20_000


def test_the_state_is_reset_or_carried_over(bundle, model, folder):
    directory = folder({"b.npz": (recording(1, 1, 1), 1), "a.npz": (recording(0, 0), 0)})
    model.memory[:] = [0, 0, 999]
    fresh = evaluate(bundle, model, directory, carry_state=False)
    assert [f["predicted"] for f in fresh["per_file"]] == [1, 0]
    model.reset()
    carried = evaluate(bundle, model, directory, carry_state=True)
    # The second recording comes too late to change what the first one left behind.
    assert carried["per_file"][1] == {
        "file": "a.npz",
        "label": 0,
        "predicted": 1,
        "decided_at_us": 0,
        "notes": [],
    }


def test_the_readout_is_carried_over_too(bundle, model, folder):
    directory = folder({"b.npz": (recording(1, 1, 1), 1), "dim.npz": (recording(1, per_step=6), 1)})
    carried = evaluate(bundle, model, directory, carry_state=True)
    assert carried["per_file"][1]["decided_at_us"] == 0
    assert evaluate(bundle, model, directory)["per_file"][1]["decided_at_us"] is None


def test_time_goes_on_from_one_recording_to_the_next(bundle, model, folder):
    # Two steps without enough events make it quiet, which forgets the first recording.
    dim = recording(0, 0, 0, per_step=2)
    bright = recording(2, 2, 2, 2, start_us=5_000 + 3 * STEP)
    second = np.concatenate([dim, bright])
    directory = folder({"b.npz": (recording(1, 1, 1), 1), "c.npz": (second, 2)})
    carried = evaluate(bundle, model, directory, carry_state=True)
    assert carried["per_file"][1]["predicted"] == 2
    assert carried["per_file"][1]["decided_at_us"] == 5 * STEP


def test_an_empty_recording_says_nothing(bundle, model, folder):
    directory = folder({"empty.npz": (recording(0)[:0], 0)})
    assert evaluate(bundle, model, directory)["per_file"][0]["predicted"] == -1


def test_a_folder_without_labels(bundle, model, tmp_path):
    with pytest.raises(InputError, match=r"has no labels.csv; wanted is a folder"):
        evaluate(bundle, model, tmp_path)


@pytest.mark.parametrize(
    "table, message",
    [
        ("file,name\nx.npz,a\n", r"labels.csv has no column 'label'"),
        ("label,name\n1,a\n", r"labels.csv has no column 'file'"),
        ("", r"labels.csv has no column 'file'"),
        ("file,label,name\n", r"labels.csv names no recording"),
        ("file,label,name\nx.npz,0,a\nx.npz,3,a\n", r"line 3: label '3' .* classes are 0 to 2"),
        ("file,label,name\nx.npz,-1,a\n", r"line 2: label '-1' is not a class"),
        ("file,label,name\nx.npz,a,a\n", r"line 2: label 'a' is not a class"),
        ("file,label,name\nx.npz\n", r"line 2: label '' is not a class"),
        ("file,label,name\nx.npz,0,a\n\ngone.npz,1,a\n", r"line 4: .*gone.npz does not exist"),
    ],
)
def test_unusable_tables_are_named_with_their_line(bundle, model, tmp_path, table, message):
    (tmp_path / "labels.csv").write_text(table)
    (tmp_path / "x.npz").write_bytes(b"")
    with pytest.raises(InputError, match=message):
        evaluate(bundle, model, tmp_path)


def test_a_table_that_is_not_text(bundle, model, tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(InputError, match="is not a text table"):
        evaluate(bundle, model, tmp_path)


def test_a_table_as_spreadsheets_save_it(bundle, model, folder):
    directory = folder({"one.npz": (recording(0, 0, 0), 0)})
    (directory / "labels.csv").write_bytes(b"\xef\xbb\xbffile,label,name\r\none.npz, 0 ,a\r\n")
    assert evaluate(bundle, model, directory)["n"] == 1


def test_the_wrong_sensor_is_named_with_its_file(bundle, model, folder):
    directory = folder({"small.npz": (recording(0), 0)})
    with pytest.raises(InputError, match=r"small.npz: the recording comes from a 8 x 8 sensor"):
        evaluate(bundle, model, directory)


def test_real_clips_give_58_steps_each(bundle, model, shared_data):
    seen = []

    class Silent(Remembering):
        def step(self, x):
            seen.append(int(x.sum()))
            return np.zeros(11, np.int32)

    model = Silent()
    program = replace(model.program, step_us=25_000)
    labels = tuple("abcdefghijk")
    whole = replace(
        bundle,
        program=program,
        encoder=EncoderSpec((128, 128), tuple(range(256))),
        readout=replace(bundle.readout, labels=labels),
    )
    report = evaluate(whole, model, shared_data("dvs-gesture"))
    assert (report["n"], len(seen)) == (5, 5 * 58)
    assert [f["label"] for f in report["per_file"]] == [0, 2, 3, 7, 9]
    # Of the 63,471 events of the first clip, those that 4 x 4 cells do not lose by saturation.
    assert sum(seen[:58]) == 55_993
