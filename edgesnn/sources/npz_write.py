"""Write our own .npz recordings, array by array and block by block: memory stays flat."""

from __future__ import annotations

import secrets
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgesnn.events import EVENT, Events
from edgesnn.sources.stored import Stored, blocks_of, stored

_ARRAYS = ("t", "x", "y", "p")


def npz_from_events(
    path: Path, events: Events | Stored, size: tuple[int, int], until_us: int | None = None
) -> None:
    """Write a recording, compressed. The file appears under its name only when it is whole.

    until_us: up to when nothing came after the last event.
    """
    numbers = {"width": size[0], "height": size[1]}
    if until_us is not None:
        numbers["until"] = until_us
    # A name of its own, so that no file of anybody is written over and no link is followed.
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as raw:
            _write_archive(raw, stored(events), numbers)
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # of a file system that cannot be written to, too
            part.unlink()
        raise


def _write_archive(raw: BinaryIO, events: Stored, numbers: dict[str, int]) -> None:
    # np.savez_compressed cannot be told to hurry: level 6 takes several times as long for little.
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in _ARRAYS:
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                about = {
                    "descr": np.lib.format.dtype_to_descr(EVENT[name]),
                    "fortran_order": False,
                    "shape": (len(events),),
                }
                np.lib.format.write_array_header_1_0(entry, about)
                for _, block in blocks_of(events):
                    entry.write(np.ascontiguousarray(block[name]).data)
        for name, number in numbers.items():
            with file.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.array(number), allow_pickle=False)
