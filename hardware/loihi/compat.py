"""What lava-nc 0.10.0 needs in order to be imported on Python 3.11; nothing on disk is edited.

Its var_model.py has a dataclass whose default is of a class that 3.11 takes for mutable, as it has
no hash; and it sets multiprocessing's start method without asking whether it is set already.
"""

from __future__ import annotations

import dataclasses
import importlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FIRST = ("lava.magma.compiler.var_model", "lava.magma.runtime.runtime")
_NEEDS_HASH = "ByteEncoder"


def import_lava() -> None:
    """Import the parts of Lava that cannot be imported as they are; then all others can."""
    with _mended():
        for name in _FIRST:
            importlib.import_module(name)


@contextmanager
def _mended() -> Iterator[None]:
    dataclass: Any = dataclasses.dataclass
    set_start_method: Any = multiprocessing.set_start_method

    def hashable(cls: Any = None, /, **how: Any) -> Any:
        if cls is not None and cls.__name__ == _NEEDS_HASH:
            how["unsafe_hash"] = True
        return dataclass(cls, **how)

    def set_once(method: str | None, force: bool = False) -> None:
        if force or multiprocessing.get_start_method(allow_none=True) != method:
            set_start_method(method, force)

    dataclasses.dataclass = hashable
    multiprocessing.set_start_method = set_once
    try:
        yield
    finally:
        dataclasses.dataclass = dataclass
        multiprocessing.set_start_method = set_start_method
