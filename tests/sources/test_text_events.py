"""Recordings as text: whoever wrote them, every event, and the line that is none by its number."""

import numpy as np
import pytest
from other_makers import SIZE, assert_same, some_events, written

from edgesnn.errors import InputError
from edgesnn.events import events_from_arrays
from edgesnn.sources import text_events
from edgesnn.sources.reading import read_recording


@pytest.mark.parametrize("characters", [1, 50, 5000, 1 << 22])
def test_blocks_of_text_are_joined(tmp_path, monkeypatch, characters):
    path = written("rpg.txt", tmp_path, some_events())
    monkeypatch.setattr(text_events, "_LINES", 7)
    monkeypatch.setattr(text_events, "_AT_ONCE", characters)
    assert_same(read_recording(path).events, some_events())


@pytest.mark.parametrize("characters", [1, 17, 60, 400, 1 << 22])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_stands_between_lines_of_text_is_left_out_wherever_it_is(
    tmp_path, monkeypatch, characters, end
):
    """Lines are looked at many at a time where they are nothing but numbers."""
    monkeypatch.setattr(text_events, "_AT_ONCE", characters)
    between = ("", "# a note", "   ", "// 1 2 3 4", "\t", "% 9")
    lines = [f" {1000 + k},\t{k % 30};{k % 20} {k % 2} " for k in range(90)]
    for at, line in enumerate(between):
        lines.insert(13 * at + 5, line)
    path = tmp_path / "a.txt"
    path.write_bytes(end.join([*lines, ""]).encode())
    found = read_recording(path, SIZE).events
    assert found["t"].tolist() == list(range(1000, 1090)) and found["x"].tolist()[-1] == 29
    path.write_bytes(end.join([*lines, "5 5 5", "1090 1 2 0", ""]).encode())
    with pytest.raises(InputError, match=f"line {len(lines) + 1} is no event"):
        read_recording(path, SIZE)


@pytest.mark.parametrize("line", ["5 6 7", "5 6 7 1 9", "5 6", "t x y p", "5 6 7 x"])
@pytest.mark.parametrize("before", [3, 6, 7, 8])
def test_a_line_that_is_no_event_is_named_wherever_it_stands(tmp_path, monkeypatch, line, before):
    monkeypatch.setattr(text_events, "_LINES", 3)
    (tmp_path / "a.txt").write_text("1 2 3 1\n" * before + line + "\n4 5 6 0\n")
    with pytest.raises(InputError, match=f"line {before + 1} is no event"):
        read_recording(tmp_path / "a.txt", SIZE)


@pytest.mark.parametrize("rest", ["30", "3000 ", "3000 6", "3000 6 7", "3000 6 7 -"])
def test_a_last_line_that_was_cut_off_is_left_out_and_said(tmp_path, rest):
    (tmp_path / "a.txt").write_text("1000 2 3 1\n2000 4 5 0\n" + rest)
    found = read_recording(tmp_path / "a.txt", SIZE)
    assert len(found.events) == 2 and "its last line was cut off" in found.notes
    (tmp_path / "a.txt").write_text("1000 2 3 1\n2000 4 5 0\n3000 6 7 1")
    found = read_recording(tmp_path / "a.txt", SIZE)
    assert len(found.events) == 3 and found.notes == ()


def test_text_in_words_of_others(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('# made by hand\n"x";"y";"timestamp";"pol"\n1;2;1500;-1\n3;4;1600;1\n')
    found = read_recording(path, SIZE)
    assert found.events.tolist() == [(1500, 1, 2, 0), (1600, 3, 4, 1)]
    assert [read_recording(path, SIZE, "ns").events["t"].tolist()] == [[1, 1]]


def test_times_in_seconds_are_told_to_the_microsecond(tmp_path):
    """0.123457 s is a little less than 123457 us as a float."""
    t = np.arange(0, 2_000_000, 997) + 1_700_000_000_000_000
    events = events_from_arrays(t, *np.ones((3, len(t)), int))
    path = written("rpg.txt", tmp_path, events)
    found = read_recording(path)
    assert_same(found.events, events)
    assert any("read as seconds" in note for note in found.notes)
