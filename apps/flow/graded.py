"""Every window of a folder that can be graded, whatever layout its files have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesnn.errors import InputError

from .datasets import dsec_windows, mvsec_windows
from .truth import NEEDED, rigid_windows
from .windows import Window


def windows_of(folder: Path) -> tuple[list[Window], list[str]]:
    """Return the windows of a folder's files that can be graded, and why others are left out.

    Raises InputError when there is none, or a file is damaged.
    """
    if not folder.is_dir():
        what = "a file: give its folder" if folder.exists() else "no folder that is there"
        raise InputError(f"--data {folder} is {what}")
    told = list(_all(folder))
    found = [window for window in told if isinstance(window, Window)]
    if not found:
        raise InputError(
            f"{folder} holds no recording with a true motion: .npz files with "
            f"{', '.join(NEEDED)}, or the layout of DSEC-Flow or MVSEC"
        )
    return found, [why for why in told if isinstance(why, str)]


def _all(folder: Path) -> Iterator[Window | str]:
    for path in sorted(folder.glob("*.npz")):
        if not path.name.endswith("_gt_flow_dist.npz"):
            yield from rigid_windows(path)
    yield from dsec_windows(folder)
    yield from mvsec_windows(folder)
