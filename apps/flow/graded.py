"""Every window of a folder that can be graded, whatever layout its files have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesnn.errors import InputError

from .dsec import dsec_windows
from .mvsec import mvsec_windows
from .truth import NEEDED, rigid_windows
from .windows import Window

_REASONS = 3


def windows_of(folder: Path) -> Iterator[Window | str]:
    """Yield the windows of a folder's files that can be graded, and why others are left out.

    One after the other: those of a data set do not fit into memory together. Raises InputError when
    there is none, or a file is damaged.
    """
    if not folder.is_dir():
        what = "a file: give its folder" if folder.exists() else "no folder that is there"
        raise InputError(f"--data {folder} is {what}")
    found, why = 0, []
    for told in _all(folder):
        if isinstance(told, str):
            why.append(told)
        else:
            found += 1
        yield told
    if not found:
        layouts = f".npz files with {', '.join(NEEDED)}, or the layout of DSEC-Flow or MVSEC"
        reasons = "; ".join(why[:_REASONS]) + (" ..." if len(why) > _REASONS else "")
        raise InputError(f"{folder} holds no recording with a true motion: {reasons or layouts}")


def _all(folder: Path) -> Iterator[Window | str]:
    for path in sorted(folder.glob("*.npz")):
        if not path.name.endswith("_gt_flow_dist.npz"):
            yield from rigid_windows(path)
    yield from dsec_windows(folder)
    yield from mvsec_windows(folder)
