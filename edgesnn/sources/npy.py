"""Events in .npy files: a structured array with the four columns as fields, or a table (n, 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgesnn.errors import InputError
from edgesnn.sources.columns import Gathered, named, order_of
from edgesnn.sources.found import Found
from edgesnn.sources.stored import BLOCK
from edgesnn.text import first_line


def events_from_npy(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file, block by block; raises InputError for arrays of other things, and damage."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{path} is not a readable .npy file: {first_line(error)}") from error
    except Exception as error:  # flipped bits make NumPy and tokenize raise anything
        cut_off = "mmap length" in str(error)
        why = "it is cut off" if cut_off else first_line(error)
        raise InputError(f"{path} is not a readable .npy file: {why}") from error
    if not isinstance(table, np.ndarray):
        table.close()
        raise InputError(f"{path} holds an archive; call it .npz")
    fields = named(table.dtype.names or ())
    as_fields = len(fields) == 4 and table.ndim == 1
    plain = all(table.dtype[name].kind in "iufb" for name in fields.values()) if as_fields else True
    as_table = table.ndim == 2 and table.shape[1] == 4 and table.dtype.kind in "iuf"
    if not plain or not (as_fields or as_table):
        raise InputError(
            f"{path} holds {table.dtype} of shape {table.shape}; wanted fields t, x, y, p, or four "
            "columns"
        )
    gathered = Gathered(path, unit)
    order = None if as_fields else order_of(np.asarray(table[:BLOCK]))
    if not as_fields and order is None:
        raise InputError(
            f"{path} does not say which of its columns is which; keep them as fields t, x, y, p"
        )
    for first in range(0, len(table), BLOCK):
        rows = np.asarray(table[first : first + BLOCK])
        if order is None:
            block = {ours: rows[name] for ours, name in fields.items()}
        else:
            block = {name: rows[:, at] for name, at in order.items()}
        gathered.add(block)
    return Found(gathered.spool, size, gathered.notes())
