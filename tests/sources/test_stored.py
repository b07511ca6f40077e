"""Recordings that are larger than what is held of them: read in pieces, the same in any pieces."""

from __future__ import annotations

import errno
import math
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.errors import InputError, RunError
from edgesnn.events import EVENT, Events, events_from_arrays, joined_events
from edgesnn.sources import mending, sorting, stored
from edgesnn.sources.bs2 import bs2_from_events
from edgesnn.sources.look import Look
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.raw import raw_head
from edgesnn.sources.reading import find_recording
from edgesnn.sources.recording import Recording, open_recording
from edgesnn.sources.sorting import sort_into
from edgesnn.sources.stored import Held, Part, Spool

SIZE = (30, 20)


def some_events(times: list[int]) -> Events:
    t, n = np.array(times, np.int64), np.arange(len(times))
    return events_from_arrays(t, n % 30, n * 7 % 20, n % 2)


def facts(look: Look) -> tuple[object, ...]:
    plain = {k: v for k, v in vars(look).items() if isinstance(v, int) and k != "_lost_us"}
    order = look.lives(), look.disordered(), look.far(1000), look.is_sorted_by_a_field()
    return plain, look.strays, look.jumps.tolist(), look.lost_us.tolist(), order


steps = st.one_of(
    st.integers(0, 2000),
    st.sampled_from([10**9, -(10**9)]),
    st.integers(-3_000_000, 3_000_000),
    st.just(0),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, min_size=1, max_size=60), st.lists(st.integers(1, 59), max_size=6))
def test_a_look_is_the_same_in_any_pieces(steps: list[int], cuts: list[int]) -> None:
    events = some_events(np.cumsum(steps).tolist())
    pieces = np.split(events, sorted(set(cuts)))
    look = Look()
    for piece in pieces:
        look.add(piece)
    assert facts(look) == facts(Look.of(Held(events)))


def test_a_look_against_plain_sums() -> None:
    t = np.array([5, 9, 7, 4_000_007, 100, 90_000_100, 90_000_300])
    look = Look.of(Held(some_events(t.tolist())))
    assert (look.count, look.first_us, look.last_us, look.back) == (7, 5, 90_000_300, 2)
    assert look.jumps.tolist() == [4] and look.lost_us.tolist() == [0, 3_999_907]
    assert look.clock_us == 90_000_300 + 3_999_907
    assert (look.gap_us, look.gap_at_us) == (90_000_000, 95 + 3_999_907)
    assert look.flowing_us == 4 + 4_000_000 + 200


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=1, max_size=60), st.booleans())
def test_playing_from_small_windows_is_playing_from_memory(steps: list[int], loop: bool) -> None:
    """The events, their order and the watermarks' promise; a window is a few events long."""
    events = some_events(np.cumsum(steps).tolist())
    laps = 3 if loop else 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgesnn.sources.recording._CHUNK_EVENTS", 3)
        found = played(events, loop, laps)
        patch.setattr("edgesnn.sources.recording.BLOCK", 5)
        patch.setattr("edgesnn.sources.stored.BLOCK", 4)
        assert played(events, loop, laps) == found
    assert [event for packet in found for event in packet[0]][: len(events)] == events.tolist()


def played(events: Events, loop: bool, laps: int) -> list[tuple[list[tuple[int, ...]], int, bool]]:
    source = Recording(events, SIZE, "file:x", loop=loop)
    found, told = [], 0
    while told < laps * len(events) and (packet := source.read()) is not None:
        told += len(packet.events)
        found.append((packet.events.tolist(), packet.watermark_us, packet.begins))
    return found


@pytest.mark.parametrize("suffix", ["bs2", "npz", "raw", "structured.npz"])
def test_a_file_is_the_same_in_any_blocks(tmp_path: Path, monkeypatch, suffix: str) -> None:
    events = some_events(np.cumsum(np.arange(1000) % 17).tolist())
    path = tmp_path / f"a.{suffix}"
    if suffix == "bs2":
        events["y"][::100] = 240  # the clock ran over
        bs2_from_events(path, events)
    elif suffix == "npz":
        npz_from_events(path, events, SIZE, 10**6)
    elif suffix == "raw":
        path.write_bytes(raw_head(SIZE) + events.tobytes())
    else:
        plain = np.array(events.tolist(), [("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "?")])
        np.savez(path, events=plain, width=30, height=20)
    whole, look = find_recording(path, None, None)
    for name in ("stored", "npz", "bs2"):
        monkeypatch.setattr(f"edgesnn.sources.{name}.BLOCK", 7)
    found, again = find_recording(path, None, None)
    assert found.in_memory().tolist() == whole.in_memory().tolist()
    assert (found.size, found.notes, found.until_us) == (whole.size, whole.notes, whole.until_us)
    assert facts(look) == facts(again)


def test_a_spool_goes_to_disk_and_parts_are_parts(monkeypatch) -> None:
    monkeypatch.setattr(stored, "_HELD_BYTES", 100)
    spool, events = Spool(), some_events(list(range(50)))
    for i in range(0, 50, 9):
        spool.write(events[i : i + 9])
    assert len(spool) == 50 and spool.read(3, 99).tolist() == events[3:].tolist()
    part = Part(spool, 10, 20)
    assert len(part) == 10 and part.read(8, 40).tolist() == events[18:20].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=120), st.integers(1, 30), st.data())
def test_runs_that_are_merged_are_one_stable_sort(times: list[int], run: int, data) -> None:
    events = some_events(times)
    first = data.draw(st.integers(0, len(times) - 1))
    out = Spool()
    out.write(events[:1])
    sort_into(out, Held(events), first, len(events), run)
    wanted = events[first:][np.argsort(events["t"][first:], kind="stable")]
    assert out.read(1, len(out)).tolist() == wanted.tolist()


def test_events_out_of_order_that_do_not_fit_in_memory_are_sorted(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(sorting, "RUN", 9)
    events = some_events(list(range(100))[::-1])
    npz_from_events(tmp_path / "a.npz", events, SIZE)
    found, _ = find_recording(tmp_path / "a.npz", None, None)
    assert found.in_memory().tolist() == events[::-1].tolist()
    assert "99 steps back" in found.notes[0]


def test_a_disk_too_full_to_sort_on_is_an_error(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mending, "in_order", full)
    npz_from_events(tmp_path / "a.npz", some_events(list(range(100))[::-1]), SIZE)
    with pytest.raises(InputError, match=r"a.npz cannot be played: No space left"):
        open_recording(tmp_path / "a.npz")


def test_a_file_that_shrinks_while_it_plays_is_an_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("edgesnn.sources.recording.BLOCK", 10)
    monkeypatch.setattr("edgesnn.sources.recording._CHUNK_EVENTS", 5)
    path = tmp_path / "a.raw"
    path.write_bytes(raw_head(SIZE) + some_events(list(range(100))).tobytes())
    source = open_recording(path, speed=math.inf)
    os.truncate(path, 500)
    with pytest.raises(InputError, match="became shorter"):
        for _ in range(50):
            source.read()


def test_an_array_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    npz_from_events(path, some_events(list(range(100))), SIZE)
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as cut:
        for name, data in parts.items():
            cut.writestr(name, data[:-8] if name == "t.npy" else data)
    with pytest.raises(InputError, match="ends inside the array 't'"):
        open_recording(path)


_PLAY = """
import resource, sys
from pathlib import Path
from edgesnn.sources.recording import open_recording
source = open_recording(Path(sys.argv[1]), speed=float("inf"))
told = 0
while (packet := source.read()) is not None:
    told += len(packet.events)
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(path: Path) -> tuple[int, int]:
    """Play a file in a process of its own; return its events and the largest memory, MB."""
    said = subprocess.run(
        [sys.executable, "-c", _PLAY, str(path)], capture_output=True, text=True, check=True
    )
    told, most = said.stdout.split()
    return int(told), int(most)


@pytest.mark.parametrize(("suffix", "size_gb"), [("raw", 2.0), ("npz", 0.3), ("bs2", 0.2)])
def test_memory_does_not_grow_with_the_recording(
    tmp_path: Path, suffix: str, size_gb: float
) -> None:
    """2 GB of events as they lie in memory; the formats that are decoded use a file on the way."""
    bytes_each = {"raw": 16, "npz": 13, "bs2": 5}[suffix]
    count = int(size_gb * 1e9) // bytes_each
    if shutil.disk_usage(tmp_path).free < 16 * count + size_gb * 1e9 + 1e9:
        pytest.skip(f"needs {size_gb * 2 + 1:.0f} GB of free disk")
    small, large = tmp_path / f"small.{suffix}", tmp_path / f"large.{suffix}"
    write_long(small, 100_000)
    write_long(large, count)
    base, most = peak(small), peak(large)
    large.unlink()
    assert (base[0], most[0]) == (100_000, count)
    assert most[1] - base[1] < 250


def write_long(path: Path, count: int) -> None:
    """Write `count` events, one every 8 us, a second at a time."""
    n = 125_000
    block = events_from_arrays(np.arange(n) * 8, np.arange(n) % 30, np.arange(n) % 20, np.arange(n))
    lasts = np.diff([*range(0, count, n), count])
    if path.suffix == ".bs2":
        bs2_from_events(path, block[:1])
        rows = np.zeros((n, 5), np.uint8)
        with path.open("wb") as file:
            for length in lasts.tolist():
                file.write(rows[:length].data)
        return
    if path.suffix == ".raw":
        with path.open("wb") as file:
            file.write(raw_head(SIZE))
            for i, length in enumerate(lasts.tolist()):
                part = block[:length].copy()
                part["t"] += i * 1_000_000
                file.write(part.view(np.uint8).data)
        return
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("t", "x", "y", "p"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(
                    entry,
                    {"descr": EVENT[name].str, "fortran_order": False, "shape": (count,)},
                )
                for i, length in enumerate(lasts.tolist()):
                    values = block[name][:length] + (i * 1_000_000 if name == "t" else 0)
                    entry.write(np.ascontiguousarray(values.astype(EVENT[name])).data)
        for name, number in (("width", 30), ("height", 20)):
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.array(number))


def test_joined_parts_of_a_spool_are_the_events() -> None:
    spool, events = Spool(), some_events(list(range(20)))
    spool.write(events)
    parts = [spool.read(first, first + 6) for first in range(0, 20, 6)]
    assert joined_events(parts).tolist() == events.tolist()


def test_a_temporary_folder_without_room_is_named(tmp_path: Path, monkeypatch) -> None:
    class Full:
        def write(self, _: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    npz_from_events(tmp_path / "a.npz", some_events([1, 2, 3]), SIZE)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda _: Full())
    with pytest.raises(RunError, match="no room for temporary files in .*name another folder"):
        open_recording(tmp_path / "a.npz")


def test_silence_at_the_end_is_said_and_has_an_end(tmp_path: Path) -> None:
    for until, said in ((3_600_000_000, "for 3600.0 s at its end"), (59_000_000, None)):
        npz_from_events(tmp_path / "a.npz", some_events([1, 2, 3]), SIZE, until_us=until)
        notes = open_recording(tmp_path / "a.npz").notes()
        assert [said in note for note in notes] == ([True] if said else [])
