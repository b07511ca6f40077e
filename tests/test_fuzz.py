"""Two thousand damaged inputs for every decoder, the same each time; see `fuzz_decoders.py`."""

from __future__ import annotations

from pathlib import Path

import fuzz_decoders as fuzz
import pytest
from other_makers import WRITERS

from edgesnn.sources import aedat4

pytest.importorskip("cv2")
pytest.importorskip("soundfile")
pytest.importorskip("h5py")
NAMES = "bs2 npz npz_structured raw idx idx_packed labels bundle png jpg bmp wav flac ogg".split()
NAMES += WRITERS


@pytest.fixture(scope="module")
def samples(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, tuple[str, bytes, fuzz.Reader]]]:
    folder = tmp_path_factory.mktemp("fuzz")
    return folder, fuzz.samples(folder)


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_read_or_refused(
    name: str, samples: tuple[Path, dict[str, tuple[str, bytes, fuzz.Reader]]]
) -> None:
    folder, known = samples
    file, data, read = known[name]
    (folder / file).write_bytes(data)
    read(folder / file)  # whole, it is read
    found = fuzz.first_failure(name, known[name], 2000, 0, folder)
    assert found is None, found
    assert set(known) - {"aedat4"} == set(NAMES)


def test_damage_of_what_a_process_of_its_own_decodes_is_read_or_refused(
    samples: tuple[Path, dict[str, tuple[str, bytes, fuzz.Reader]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case takes a process, and one that hangs as long as we wait: so these are few."""
    folder, known = samples
    if "aedat4" not in known:
        pytest.skip("dv-processing is not installed")
    monkeypatch.setattr(aedat4, "_SILENCE_S", 2.0)
    assert fuzz.first_failure("aedat4", known["aedat4"], 20, 0, folder) is None
