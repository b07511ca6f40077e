"""What people's files are like: mended and said where it is certain, refused or said where not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.errors import InputError
from edgesnn.events import EVENT, Events, events_from_arrays, joined_events
from edgesnn.sources import mending
from edgesnn.sources.bs2 import bs2_from_events
from edgesnn.sources.mending import in_microseconds
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.raw import raw_head
from edgesnn.sources.reading import read_events
from edgesnn.sources.reading import read_recording as read_whole
from edgesnn.sources.recording import open_recording


def read_recording(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> tuple[Events, tuple[int, int] | None, tuple[str, ...]]:
    found = read_whole(path, size, unit)
    return found.events, found.size, found.notes


def some(n: int = 2000, side: int = 30, span_us: int = 300_000, start_us: int = 0) -> Events:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, span_us, n)) + start_us
    return events_from_arrays(t, *rng.integers(0, side, (2, n)), rng.integers(0, 2, n))


def npz(path: Path, events: Events, *, size: bool = True, **arrays: object) -> Path:
    plain = {name: events[name] for name in "txyp"}
    sides = {"width": 128, "height": 128} if size else {}
    kept = {**plain, **sides, **arrays}
    np.savez(path, **{name: value for name, value in kept.items() if value is not None})
    return path


def test_a_stray_event_does_not_choose_the_sensor(tmp_path: Path) -> None:
    stray = some()
    stray["x"][700] = 40
    bs2_from_events(tmp_path / "a.bin", stray)
    events, size, notes = read_recording(tmp_path / "a.bin")
    assert size == (34, 34) and len(events) == len(stray) - 1
    assert "1 event outside the 34 x 34 sensor" in notes[0] and "--sensor" in notes[0]
    many = some()
    many["x"][::100] = 90
    bs2_from_events(tmp_path / "b.bs2", many)
    assert read_recording(tmp_path / "b.bs2")[1:] == ((128, 128), ())


def test_overflow_markers_are_time_and_no_events(tmp_path: Path) -> None:
    marked = some()
    marked["y"][[500, 900]] = 240
    bs2_from_events(tmp_path / "a.bin", marked)
    events, size, notes = read_recording(tmp_path / "a.bin")
    others = np.delete(some(), [500, 900])
    assert size == (34, 34) and len(events) == len(others)
    added = events["t"] - others["t"]
    assert added[:500].max() == 0 and set(added[500:899]) == {8192} and set(added[899:]) == {16384}
    assert "2 overflow markers" in notes[0]
    tall = some(side=255)
    bs2_from_events(tmp_path / "b.bs2", tall)
    assert len(read_recording(tmp_path / "b.bs2")[0]) == len(tall)


@pytest.mark.parametrize(
    ("values", "found"),
    [((1, 255), "taken as OFF"), ((-1, 1), None), ((0, 255), "0, 255"), ((0, 1, 2), "0, 1, 2")],
)
def test_polarities(tmp_path: Path, values: tuple[int, ...], found: str | None) -> None:
    kind = np.int8 if min(values) < 0 else np.uint8
    told = np.array(values, kind)[some()["p"] if len(values) == 2 else np.arange(2000) % 3]
    path = npz(tmp_path / "a.npz", some(), p=told)
    if found is None or "OFF" in found:
        events, _, notes = read_recording(path)
        wanted = told == 1
        assert np.array_equal(events["p"] == 1, wanted)
        assert [found in note for note in notes] == ([True] if found else [])
    else:
        with pytest.raises(InputError, match=f"p has the values {found}"):
            read_recording(path)


@pytest.mark.parametrize("block_us", [3_000, 9_000])
def test_events_a_few_milliseconds_out_of_order_are_put_in_order(tmp_path, block_us: int) -> None:
    """ON before OFF within blocks: each step back is shorter than a step of a network."""
    t = np.arange(0, 600_000, 100)
    events = events_from_arrays(t, t % 20, t % 15, np.arange(len(t)) // 7 % 2)
    mixed = events[np.lexsort((events["t"], events["p"], events["t"] // block_us))]
    found, _, notes = read_recording(npz(tmp_path / "a.npz", mixed))
    assert np.array_equal(found["t"], t) and "they were put in order" in notes[0]


@pytest.mark.parametrize("order", ["x", "reversed", "shuffled"])
def test_events_out_of_order_are_put_in_order_and_said(tmp_path: Path, order: str) -> None:
    events = some(side=120)
    places = {
        "x": np.argsort(events["x"], kind="stable"),
        "reversed": np.arange(len(events))[::-1],
        "shuffled": np.random.default_rng(1).permutation(len(events)),
    }[order]
    found, _, notes = read_recording(npz(tmp_path / "a.npz", events[places]))
    assert (np.diff(found["t"]) >= 0).all() and sorted(found.tolist()) == sorted(events.tolist())
    assert len(notes) == 1 and "put in order" in notes[0]


def test_a_restart_and_late_events_stay_as_they_are(tmp_path: Path) -> None:
    """They are the sensor's own, and the slicer counts them."""
    again = np.concatenate([some(start_us=5_000_000).tolist(), some().tolist()])
    restarted = np.array([tuple(row) for row in again], EVENT)
    found, _, notes = read_recording(npz(tmp_path / "a.npz", restarted))
    assert np.array_equal(found["t"], restarted["t"]) and notes == ()
    late = some()
    late["t"][100::7] -= 500
    late["t"] += 1000
    found, _, notes = read_recording(npz(tmp_path / "b.npz", late))
    assert np.array_equal(found["t"], late["t"]) and notes == ()


def test_times_far_from_all_others_are_left_out_and_silences_said(tmp_path: Path) -> None:
    unix = some(start_us=1_700_000_000_000_000)
    unix["t"][0] = 0
    found, _, notes = read_recording(npz(tmp_path / "a.npz", unix))
    assert len(found) == len(unix) - 1 and "1 event a minute or more away" in notes[0]
    late = some()
    late["t"][-2:] += 10**13
    assert len(read_recording(npz(tmp_path / "b.npz", late))[0]) == len(late) - 2
    gap = some()
    gap["t"][1000:] += 2 * 3600 * 10**6
    found, _, notes = read_recording(npz(tmp_path / "c.npz", gap))
    assert len(found) == len(gap) and "nothing comes for 2.0 hours" in notes[0]


def test_times_in_another_unit(tmp_path: Path) -> None:
    events = some()
    nano = npz(tmp_path / "ns.npz", events, t=events["t"] * 1000)
    assert "--time-unit ns" in read_recording(nano)[2][-1]
    told = npz(tmp_path / "a.npz", events, t=events["t"] * 1000)
    found, _, notes = read_recording(told, unit="ns")
    assert np.array_equal(found["t"], events["t"]) and notes == ()
    seconds = npz(tmp_path / "s.npz", events, t=events["t"] / 1e6)
    with pytest.raises(InputError, match="float64 .* --time-unit"):
        read_recording(seconds)
    found, _, _ = read_recording(seconds, unit="s")
    assert np.abs(found["t"] - events["t"]).max() <= 1
    coarse = npz(tmp_path / "ms.npz", events, t=events["t"] // 100_000)
    assert "--time-unit ms or s" in read_recording(coarse)[2][0]


@pytest.mark.parametrize(
    ("times", "match"),
    [
        (np.full(5, 2**63, np.uint64), "which no clock tells"),
        (np.array([0, np.nan, 1, 2, 3]), "a time is no number"),
        (np.array([0.0, 0.5, 1, 2, 2]), "--time-unit"),
    ],
)
def test_times_that_are_none(tmp_path: Path, times: np.ndarray, match: str) -> None:
    path = npz(tmp_path / "a.npz", some(5), t=times)
    with pytest.raises(InputError, match=match):
        read_recording(path)
    if "unit" not in match:
        with pytest.raises(InputError):
            read_recording(path, unit="s")


def test_other_names_and_structured_arrays(tmp_path: Path) -> None:
    events = some()
    renamed = npz(tmp_path / "a.npz", events, t=None, p=None, ts=events["t"], pol=events["p"])
    assert np.array_equal(read_recording(renamed)[0], events)
    np.savez(tmp_path / "b.npz", events=events)
    found, size, _ = read_recording(tmp_path / "b.npz", (64, 48))
    assert np.array_equal(found, events) and size == (64, 48)
    with pytest.raises(InputError, match="--sensor WxH"):
        read_recording(tmp_path / "b.npz")


def test_an_archive_that_would_fill_the_memory_is_refused_by_its_sizes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("t.npy", "w", force_zip64=True) as entry:
            for _ in range(320):
                entry.write(bytes(1 << 20))
    with pytest.raises(InputError, match="unpack to 335,544,320"):
        read_recording(tmp_path / "a.npz")


def test_what_a_killed_run_left_is_played(tmp_path: Path) -> None:
    events = some()
    path = tmp_path / "a.npz.raw"
    path.write_bytes(raw_head((64, 48)) + events.tobytes()[:-5])
    found, size, notes = read_recording(path)
    assert size == (64, 48) and np.array_equal(found, events[:-1]) and "cut off" in notes[0]
    path.write_bytes(b"what another maker calls .raw" + bytes(200))
    with pytest.raises(InputError, match="Prophesee"):
        read_recording(path)


def test_the_source_tells_what_was_mended(tmp_path: Path) -> None:
    events = some(side=120)
    path = npz(tmp_path / "a.npz", events[np.argsort(events["x"], kind="stable")])
    assert "put in order" in open_recording(path).notes()[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=0, max_size=60))
def test_mending_never_invents_an_event(times: list[int]) -> None:
    n = len(times)
    events = events_from_arrays(np.array(times, np.int64), *np.zeros((2, n), int), np.arange(n) % 2)
    found, _ = mended(events, (128, 128))
    assert set(found.tolist()) <= set(events.tolist()) and len(found) >= n - 20


def mended(
    events: Events, size: tuple[int, int], unit: str | None = None
) -> tuple[Events, tuple[str, ...]]:
    """Mend events; return them in memory."""
    kept, _, notes = mending.mended(events, size, unit=unit)
    return kept.read(0, len(kept)), notes


def moving_dot(n: int, hz: float = 20_000.0, start_us: int = 0) -> Events:
    """Events spread over a 128 x 128 sensor, in order, at a rate."""
    rng = np.random.default_rng(n)
    t = start_us + (np.arange(n) * 1e6 / hz).astype(np.int64)
    return events_from_arrays(t, rng.integers(0, 128, n), rng.integers(0, 128, n), np.arange(n) % 2)


@pytest.mark.parametrize("key", ["x", "y", "p"])
def test_a_large_recording_sorted_by_a_coordinate_is_put_in_order(key: str) -> None:
    events = moving_dot(300_000)
    shuffled = events[np.argsort(events[key], kind="stable")]
    found, (note,) = mended(shuffled, (128, 128))
    assert (np.diff(found["t"]) >= 0).all() and "put in order" in note


def test_blocks_in_the_wrong_order_are_put_in_order() -> None:
    events = moving_dot(200_000)
    blocks = np.split(events, 40)
    mixed = joined_events([blocks[i] for i in np.random.default_rng(0).permutation(40)])
    found, _ = mended(mixed, (128, 128))
    assert found["t"].tolist() == events["t"].tolist()


@pytest.mark.parametrize("times", [{50_000: 0}, {70_000: 10**15}, {300: 0, 5000: 0, 70_000: 3}])
def test_single_events_far_from_their_neighbours_are_left_out(times: dict[int, int]) -> None:
    events = moving_dot(100_000, start_us=10**9)
    events["t"][list(times)] = list(times.values())
    found, (note,) = mended(events, (128, 128))
    assert found.tolist() == np.delete(events, list(times)).tolist()
    assert "away from the ones before and behind" in note and note.startswith(str(len(times)))


def test_a_clock_of_32_bits_that_ran_over_is_named() -> None:
    events = moving_dot(100_000, start_us=2**32 - 2_000_000)
    events["t"] %= 2**32
    found, notes = mended(events, (128, 128))
    assert found.tolist() == events.tolist()
    assert notes == ("the sensor's clock of 32 bits ran over (1 time)",)


def test_many_restarts_are_no_disorder() -> None:
    lives = [moving_dot(60_000 + i) for i in range(25)]  # 3 s each, from 0 again
    events = joined_events(lives)
    found, notes = mended(events, (128, 128))
    assert found.tolist() == events.tolist() and notes == ()


def test_packets_that_come_late_are_put_in_order_within_each_life() -> None:
    events = moving_dot(100_000)
    blocks = np.split(events, 200)
    for i in range(10, 200, 10):
        blocks[i - 1], blocks[i] = blocks[i], blocks[i - 1]  # 500 events 25 ms too late
    found, (note,) = mended(joined_events(blocks * 2), (128, 128))
    assert np.count_nonzero(np.diff(found["t"]) < 0) == 1 and "put in order" in note


def test_a_few_late_events_are_left_to_the_slicer() -> None:
    events = moving_dot(100_000)
    events[50_000:50_010]["t"] -= 30_000
    found, notes = mended(events, (128, 128))
    assert found.tolist() == events.tolist() and notes == ()


@pytest.mark.parametrize(("factor", "said"), [(1e-3, "ms or s"), (1e3, "ns")])
def test_times_of_another_unit_are_doubted_at_usual_rates(factor: float, said: str) -> None:
    for hz in (78_000.0, 156_000.0):
        events = moving_dot(50_000, hz)
        events["t"] = (events["t"] * factor).astype(np.int64)
        _, notes = mended(events, (128, 128))
        assert any(f"--time-unit {said}" in note for note in notes)
        assert mended(events, (128, 128), unit="us")[1] == ()


def test_unix_seconds_in_float32_are_refused() -> None:
    times = np.array([1.7e9, 1.7e9 + 1], np.float32)
    with pytest.raises(InputError, match="can only tell 128.0 s apart"):
        in_microseconds(times, "s", "a.npz")


def test_a_sensor_of_nearly_a_billion_pixels_is_refused(tmp_path: Path) -> None:
    npz_from_events(tmp_path / "a.npz", moving_dot(10), (30_000, 30_000))
    with pytest.raises(InputError, match="30,000 x 30,000 pixels"):
        read_events(tmp_path / "a.npz")


def test_a_dvs128_recording_that_keeps_to_a_corner_is_no_34_by_34(tmp_path: Path) -> None:
    events = moving_dot(40_000)
    for name in ("x", "y"):
        events[name][35:] %= 34
    bs2_from_events(tmp_path / "a.bs2", events)
    assert read_events(tmp_path / "a.bs2")[1] == (128, 128)


def test_a_file_that_stands_beside_a_recording_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npz.part").write_text("mine")
    npz_from_events(tmp_path / "a.npz", moving_dot(10), (128, 128))
    assert (tmp_path / "a.npz.part").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "a.npz.part"]
