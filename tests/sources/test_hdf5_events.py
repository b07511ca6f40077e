"""Events in HDF5, as others lay them out."""

import numpy as np
import pytest
from other_makers import SIZE, assert_same, some_events

from edgesnn.errors import InputError
from edgesnn.sources.reading import read_recording


def test_whole_times_of_floats_are_microseconds(tmp_path):
    h5py = pytest.importorskip("h5py")
    events = some_events()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}s"] = events[name].astype(float)
    assert_same(read_recording(tmp_path / "a.h5", SIZE).events, events)


def test_hdf5_of_event_utils_and_v2e_with_links_to_nowhere(tmp_path):
    h5py = pytest.importorskip("h5py")
    events = some_events()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, kind in (("t", float), ("x", "i2"), ("y", "i2"), ("p", bool)):
            values = events[name] / 1e6 if name == "t" else events[name]
            file[f"events/{name}s"] = values.astype(kind)
        for name in "txy":
            file[f"another/{name}"] = np.arange(3)
        file["another/p"] = h5py.SoftLink("/nowhere")
        for name in "txyp":
            file[f"uneven/{name}"] = np.arange(ord(name))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["events"] = np.stack([events[name] for name in "txyp"], 1).astype("u4")
    for name in "ab":
        assert_same(read_recording(tmp_path / f"{name}.h5", SIZE).events, events)


def test_hdf5_that_says_it_holds_the_world_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", (10**12,), "u4", chunks=(1 << 20,))
    with pytest.raises(InputError, match="more than 100 times as many"):
        read_recording(tmp_path / "a.h5", SIZE)


def test_tables_of_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    events = some_events()
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        table = np.zeros(len(events), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        for name in "txyp":
            table[name] = events[name]
        file["CD/events"] = table
    with h5py.File(tmp_path / "b.h5", "w") as file:
        rows = [events["x"], events["y"], 1.5e9 + events["t"] / 1e6, events["p"] * 2.0 - 1]
        file["davis/left/events"] = np.stack(rows, 1)
        file["davis/right/events"] = np.stack(rows, 1)[:5]
    assert_same(read_recording(tmp_path / "a.hdf5", SIZE).events, events)
    found = read_recording(tmp_path / "b.h5")
    events["t"] += 1_500_000_000_000_000
    assert_same(found.events, events)
    assert found.size == (346, 260)
    assert any("also holds those of davis/right/events" in note for note in found.notes)
