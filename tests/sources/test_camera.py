import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from fake_camera import Batch, FakeCamera

from edgesnn.errors import InputError, MissingDependency, RunError
from edgesnn.events import events_from_arrays
from edgesnn.sources import camera as module
from edgesnn.sources.camera import Camera, open_camera
from edgesnn.sources.devices import list_devices
from edgesnn.stream.slicer import Slicer

NOW = 1_700_000_000_000_000


def fake_dv(monkeypatch, serials, opened=None):
    """Put a dv-processing with these cameras in place of the real one."""

    def open_(serial, log_level):
        assert log_level == "errors only"
        if isinstance(opened, Exception):
            raise opened
        return FakeCamera([[NOW]])

    camera = SimpleNamespace(
        discover=lambda: [SimpleNamespace(serialNumber=s) for s in serials],
        open=open_,
        USBDevice=SimpleNamespace(LogLevel=SimpleNamespace(LVL_ERROR="errors only")),
    )
    dv = SimpleNamespace(io=SimpleNamespace(camera=camera), __version__="2.0.4")
    monkeypatch.setitem(sys.modules, "dv_processing", dv)


def test_without_a_camera_the_sentence_says_what_else_there_is(monkeypatch):
    fake_dv(monkeypatch, [])
    with pytest.raises(InputError, match="no DVS camera was found.*--demo"):
        open_camera()


def test_an_unknown_serial_names_the_cameras_that_are_there(monkeypatch):
    fake_dv(monkeypatch, ["DXA1", "DXA2"])
    with pytest.raises(InputError, match="serial number XYZ; found: DXA1, DXA2"):
        open_camera("XYZ")
    assert open_camera("DXA2").name == "camera:DVXplorer_FAKE1"
    assert open_camera().size == (64, 48)


def test_a_camera_that_cannot_be_opened_is_a_run_error_in_one_line(monkeypatch):
    fake_dv(monkeypatch, ["DXA1"], RuntimeError("busy\nStacktrace: 0# 0x0"))
    with pytest.raises(RunError, match=r"DXA1 is there but cannot be opened \(busy\)"):
        open_camera()


def test_the_old_api_and_a_missing_package_name_the_pip_line(monkeypatch):
    old = SimpleNamespace(io=SimpleNamespace(), __version__="1.7.9")
    monkeypatch.setitem(sys.modules, "dv_processing", old)
    with pytest.raises(MissingDependency, match="1.7.9 is too old.*pip install"):
        open_camera()
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    with pytest.raises(MissingDependency, match='pip install "dv-processing>=2"'):
        open_camera()


def test_silence_moves_the_watermark_by_the_host_clock_and_steps_are_taken():
    source = Camera(FakeCamera([[NOW, NOW + 5]] + [None] * 80))
    slicer, steps = Slicer(10_000), []
    began = time.monotonic()
    while time.monotonic() - began < 0.06:
        packet = source.read()
        steps += slicer.feed(packet)
    waited_us = packet.watermark_us - NOW - 5
    assert 30_000 < waited_us < (time.monotonic() - began) * 1e6
    assert len(steps) >= 3
    assert [len(s.events) for s in steps[:2]] == [2, 0]


def test_before_the_first_event_there_are_steps_too_and_no_jump_is_counted():
    source = Camera(FakeCamera([None] * 40 + [[NOW]]))
    slicer, steps = Slicer(10_000), []
    for _ in range(41):
        steps += slicer.feed(source.read())
    assert len(steps) >= 2
    assert slicer.jumps_back == 0


def test_a_clock_that_jumps_back_is_passed_on_for_the_slicer_to_count():
    source = Camera(FakeCamera([[NOW], [NOW - 5_000_000], [NOW - 4_000_000]]))
    slicer = Slicer(10_000)
    for _ in range(3):
        slicer.feed(source.read())
    assert slicer.jumps_back == 1


def test_events_that_come_after_a_silence_was_told_do_not_take_the_watermark_back():
    source = Camera(FakeCamera([[NOW]] + [None] * 20 + [[NOW + 1], None, [NOW - 5_000_000]]))
    marks = [source.read().watermark_us for _ in range(24)]
    assert marks[20] > NOW + 5_000  # 20 ms of silence were told
    assert marks[:23] == sorted(marks[:23])
    assert marks[23] == NOW - 5_000_000  # a restart of the sensor is told as it is


def test_unplugged_while_running_is_a_run_error():
    source = Camera(FakeCamera([[NOW]]))
    assert len(source.read().events) == 1
    with pytest.raises(RunError, match="was it unplugged"):
        source.read()


@pytest.mark.parametrize("outside", [(64, 3), (3, 48), (65535, 0)])
def test_an_event_outside_the_sensor_is_a_run_error(outside):
    fake = FakeCamera([[NOW]])
    events = events_from_arrays(np.array([NOW]), *np.array(outside)[:, None], np.array([1]))
    fake.getNextEventBatch = lambda: Batch(events)
    with pytest.raises(RunError, match="outside its 64 x 48 pixels"):
        Camera(fake).read()


def test_the_driver_is_asked_for_short_batches():
    fake, asked = FakeCamera([]), []
    fake.setTimeInterval = asked.append
    Camera(fake)
    assert asked == [timedelta(milliseconds=1)]


def test_usb_that_cannot_be_searched_is_a_run_error_and_a_line_in_the_list(monkeypatch):
    fake_dv(monkeypatch, [])
    monkeypatch.setattr(sys.modules["dv_processing"].io.camera, "discover", no_usb)
    with pytest.raises(RunError, match="cannot be searched for cameras: no access$"):
        open_camera()
    device = list_devices()[0]  # DVS cameras come first; microphones are this machine's own affair
    assert device.kind == "missing" and "no access" in device.model


def no_usb():
    raise RuntimeError("no access\nStacktrace: 0# 0x0")


def test_errors_of_the_driver_become_one_line():
    source = Camera(FakeCamera([IndexError("vector::_M_range_check\nmore")]))
    with pytest.raises(RunError, match="failed: vector::_M_range_check$"):
        source.read()


def test_a_camera_without_events_is_refused():
    with pytest.raises(InputError, match="no event stream"):
        Camera(FakeCamera([], size=None))


def test_the_batch_is_a_view_not_a_copy():
    fake = FakeCamera([[NOW]])
    batch = fake.getNextEventBatch()
    fake.script = [None]
    fake.getNextEventBatch = lambda: batch
    events = Camera(fake).read().events
    assert events.base is not None
    assert events["t"].tolist() == [NOW]


def test_dv_processing_has_the_names_that_opening_uses():
    dv = pytest.importorskip("dv_processing")
    with pytest.raises(RuntimeError, match="(?i)serial number"):
        dv.io.camera.open("NO-SUCH-CAMERA", dv.io.camera.USBDevice.LogLevel.LVL_ERROR)


def test_the_record_of_dv_processing_is_ours():
    dv = pytest.importorskip("dv_processing")
    store = dv.EventStore()
    store.push_back(NOW, 639, 479, True)
    store.push_back(NOW + 1, 0, 3, False)
    events = store.numpy().view(module.EVENT)
    assert [tuple(e) for e in events] == [(NOW, 639, 479, 1), (NOW + 1, 0, 3, 0)]
