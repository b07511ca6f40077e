"""Reading HDF5 files of others: what is missing or damaged is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesnn.errors import InputError, MissingDependency

_CACHE_BYTES = 1 << 28
"""Of unpacked chunks, for each part of a file: some are as large as the part."""


@contextmanager
def hdf5(path: Path) -> Iterator[Any]:
    """Open a file; raises InputError for what is none, MissingDependency without h5py."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency('reading .h5 needs h5py: pip install ".[hdf5]"') from error
    try:
        import hdf5plugin  # type: ignore[import-not-found]  # noqa: F401  DSEC's compression
    except ImportError:
        pass
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read as HDF5: it is another kind of file, cut off or damaged"
        ) from error
    with file:
        yield file


def shape_of(file: Any, name: str) -> tuple[int, ...]:
    """Return the shape of a part of a file; raises InputError where there is none of that name."""
    return tuple(_part(file, name).shape)


def part_of(file: Any, name: str, where: Any = ()) -> NDArray[Any]:
    """Return numbers of a part of a file, all or some; raises InputError where that is damaged."""
    found = _part(file, name)
    try:
        values = np.asarray(found[where])
    except (OSError, RuntimeError) as error:  # h5py raises several kinds
        raise InputError(
            f"{name} of {file.filename} cannot be read: it is damaged, or compressed as DSEC's "
            'files are, which needs hdf5plugin: pip install ".[hdf5]"'
        ) from error
    if values.dtype.kind not in "iufb":
        raise InputError(f"{name} of {file.filename} holds no numbers")
    return values


def _part(file: Any, name: str) -> Any:
    found = file.get(name)
    if not hasattr(found, "dtype"):  # a folder has none
        raise InputError(f"{file.filename} holds no {name}: it is of another layout")
    return found
