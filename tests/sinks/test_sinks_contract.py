import io
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import contract_sinks as contract
import pytest

from edgesnn.errors import InputError
from edgesnn.sinks.catalog import SINKS
from edgesnn.sinks.json_lines import JsonLines
from edgesnn.sinks.recorder import Recorder
from edgesnn.sinks.terminal import PlainLines, TerminalView
from edgesnn.sinks.window import open_window
from edgesnn.stream.sink import Sink

Make = Callable[[threading.Event], Sink]


MAKERS = ["json", "plain", "view", "window", "aedat4", "npz"]


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    if request.param == "json":
        yield lambda stop: JsonLines(io.StringIO(), stop)
    elif request.param == "plain":
        yield lambda stop: PlainLines(io.StringIO(), stop)
    elif request.param in ("aedat4", "npz"):
        names = (tmp_path / f"{number}.{request.param}" for number in range(9))
        yield lambda stop: Recorder(next(names))
    elif request.param == "window":
        try:
            open_window(threading.Event()).close(None)
        except InputError as error:
            pytest.skip(str(error))
        yield open_window
    else:
        ours, theirs = pty.openpty()
        reader = threading.Thread(target=drain, args=(ours,), daemon=True)
        reader.start()
        with os.fdopen(theirs, "w") as terminal:
            yield lambda stop: TerminalView(terminal, stop)
        reader.join(5)


def drain(ours: int) -> None:
    try:
        while os.read(ours, 65536):
            pass
    except OSError:
        pass  # the other end was closed
    os.close(ours)


def test_every_sink_has_a_maker() -> None:
    made = {"--json": "json", "--record": "aedat4", "--view": "window"}
    assert set(made) == {asked.option.name for asked in SINKS}
    assert {*made.values(), "plain", "view", "npz"} == set(MAKERS)


@pytest.mark.parametrize(
    "check",
    [
        contract.check_whole_run,
        contract.check_failed_run,
        contract.check_one_after_another,
    ],
)
def test_contract(
    check: Callable[[Make], None], make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    check(make)
    sys.stdout.flush()
    assert capfd.readouterr().out == ""
