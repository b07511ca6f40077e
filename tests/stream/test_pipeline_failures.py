"""How runs end early: on request, by Ctrl-C, by sources and sinks that fail or hang."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fake_runs import (
    FakeSource,
    Listener,
    cut,
    heard_of,
    live,
    play,
    scene,
)

from edgesnn.decide.decision import Decision
from edgesnn.errors import InputError, RunError
from edgesnn.events import Packet


def test_stop_ends_the_run_with_a_summary():
    heard, stop = [], threading.Event()
    source = FakeSource(live(3, 30), can_wait=False)
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    summary = play(source, Listener(heard), stop=stop)
    assert time.monotonic() - began < 5
    assert heard_of(heard, "close") == [summary]
    assert summary.steps > 0
    assert source.closed == 1


class Interrupting(Listener):
    def decision(self, decision: Decision) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_run_with_a_summary_and_sets_stop():
    heard, stop = [], threading.Event()
    summary = play(FakeSource(live(30, 30), can_wait=False), Interrupting(heard), stop=stop)
    assert stop.is_set()
    assert heard_of(heard, "close") == [summary]


def failing(method: str, error: Exception) -> Callable[[list], Listener]:
    def refuse(self, *_):
        raise error

    return type("Failing", (Listener,), {method: refuse})


@pytest.mark.parametrize("method", ["open", "packet", "decision", "close"])
def test_a_failing_sink_fails_the_run_and_the_others_are_closed(method):
    heard = []
    bad = failing(method, RunError("the disk is full"))(heard, "bad")
    source = FakeSource(live(30, 30) if method == "packet" else cut(scene("left", "left"), 9))
    with pytest.raises(RunError, match="the disk is full"):
        play(source, bad, Listener(heard, "good"))
    (closed,) = [thing for who, what, thing in heard if (who, what) == ("good", "close")]
    assert (closed is None) == (method != "close")
    assert source.closed == 1


def test_a_failing_source_fails_the_run_after_what_it_gave():
    def packets() -> Iterator[Packet]:
        yield from cut(scene("left", "left"), 50)
        raise RunError("the camera DXA00093 was unplugged")

    heard = []
    with pytest.raises(RunError, match="DXA00093 was unplugged"):
        play(FakeSource(packets()), Listener(heard))
    assert [d.label for d in heard_of(heard, "decision")] == ["left"]
    assert heard_of(heard, "close") == [None]


def test_a_defect_is_reported_as_a_failed_run_with_its_cause():
    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        raise ZeroDivisionError("oops")

    with pytest.raises(RunError, match=r"the run of fake failed: ZeroDivisionError\('oops'\)") as e:
        play(FakeSource(packets()))
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_events_outside_the_sensor_end_the_run_before_any_sink_sees_them():
    heard = []
    events = scene("left")
    events["y"][30] = 16
    with pytest.raises(InputError, match="fake: event 10 at t=.* y=16, outside the 16 x 16 sensor"):
        play(FakeSource(cut(events, 20)), Listener(heard))
    assert heard_of(heard, "packet") == [20]


def test_a_sensor_that_is_too_small_is_refused_before_anything_opens():
    heard = []
    source = FakeSource(iter(()), size=(8, 8))
    with pytest.raises(InputError, match="8 x 8 sensor; this model needs at least 16 x 16"):
        play(source, Listener(heard))
    assert (heard, source.closed) == ([], 1)


def test_a_source_that_hangs_is_left_behind(monkeypatch):
    monkeypatch.setattr("edgesnn.stream.reader.GIVE_UP_S", 0.05)
    hung, stop = threading.Event(), threading.Event()

    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        hung.wait(20)

    heard = []
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(RunError, match="fake did not answer"):
        play(FakeSource(packets()), Listener(heard), stop=stop)
    assert heard_of(heard, "close") == [None]
    hung.set()


def test_a_sink_that_hangs_is_named_and_not_the_source(monkeypatch):
    monkeypatch.setattr("edgesnn.stream.reader.GIVE_UP_S", 0.05)
    hung, stop = threading.Event(), threading.Event()

    class Hanging(Listener):
        def packet(self, packet: Packet) -> None:
            hung.wait(20)

    threading.Timer(0.1, stop.set).start()
    with pytest.raises(RunError, match="sink took no packet"):
        play(FakeSource(iter(cut(scene("left"), 50))), Hanging([]), stop=stop)
    hung.set()


def test_a_source_that_hangs_is_freed_by_closing_it(monkeypatch):
    monkeypatch.setattr("edgesnn.stream.reader.GIVE_UP_S", 0.2)
    freed, stop = threading.Event(), threading.Event()

    def packets() -> Iterator[Packet]:
        yield from cut(scene("left"), 50)
        freed.wait(20)

    source = FakeSource(packets())
    source.close = freed.set
    threading.Timer(0.1, stop.set).start()
    assert play(source, stop=stop).source == "fake"  # and no RunError


def test_who_prints_hears_of_a_sink_that_failed_to_close():
    """The first of the sinks is closed last: no summary is told of a run that failed."""
    heard = []
    bad = failing("close", RunError("the disk is full"))([], "bad")
    with pytest.raises(RunError, match="the disk is full"):
        play(FakeSource(cut(scene("left", "left"), 9)), Listener(heard, "printing"), bad)
    assert heard_of(heard, "close") == [None]
