import os
import pty
import threading
import tty
from collections.abc import Iterator

import pytest

from edgesnn.sinks.keys import Keys, brightness

DARK, LIGHT = "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\", "\x1b]11;rgb:ff/fa/f0\x07"
DA1 = "\x1b[?62;22c"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Keys, int, int]]:
    """Keys that listen to a pseudo-terminal; our end of it and theirs."""
    ours, theirs = pty.openpty()
    tty.setcbreak(theirs)
    keys = Keys()
    monkeypatch.setattr(keys, "_number", theirs)
    yield keys, ours, theirs
    os.close(ours)
    os.close(theirs)


def asked(keys: Keys, ours: int, theirs: int, answer: str) -> float | None:
    def say() -> None:
        os.read(ours, 100)
        os.write(ours, answer.encode())

    teller = threading.Thread(target=say)
    teller.start()
    with os.fdopen(os.dup(theirs), "w") as out:
        found = keys.background(out)
    teller.join()
    return found


@pytest.mark.parametrize(
    ("answer", "light"),
    [(DARK + DA1, False), (LIGHT + DA1, True), (DA1, None), ("q" + LIGHT + DA1, True), ("", None)],
)
def test_a_terminal_says_how_light_it_is(
    terminal: tuple[Keys, int, int], answer: str, light: bool | None
) -> None:
    keys, ours, theirs = terminal
    found = asked(keys, ours, theirs, answer)
    assert (None if found is None else found > 0.5) == light
    assert keys.pressed() == ("q" if answer.startswith("q") else "")


def test_an_answer_that_comes_late_and_in_pieces_is_no_key(
    terminal: tuple[Keys, int, int],
) -> None:
    keys, ours, theirs = terminal
    assert asked(keys, ours, theirs, "") is None
    late = "\x1b]11;rgb:dddd/dddd/qqqq"
    os.write(ours, late[:15].encode())
    assert keys.pressed() == ""
    os.write(ours, (late[15:] + "\x1b\\" + DA1 + "d").encode())
    assert keys.pressed() == "d"


def test_colours_of_any_depth() -> None:
    assert brightness("\x1b]11;rgb:f/f/f\x07") == pytest.approx(1)
    assert brightness("\x1b]11;rgba:0000/0000/0000/ffff\x07") == 0
