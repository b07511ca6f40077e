"""The engine's shared library: found beside this file, opened once, its functions declared."""

from __future__ import annotations

import ctypes
import functools
import os
from ctypes import c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

from edgesnn.errors import InputError
from edgesnn.program import Tensor

ENGINE = "EDGESNN_ENGINE"
_NAME = "_engine"
_SUFFIXES = (".so", ".pyd", ".dylib")
_INT = c_int32
_CALLED_AS = 2
"""As in `engine/engine.h`."""
_CALLS: dict[str, tuple[type | None, list[type]]] = {
    "engine_called_as": (_INT, []),
    "engine_plan": (c_void_p, [_INT] * 4),
    "engine_free_plan": (None, [c_void_p]),
    "engine_shape": (None, [c_void_p, *[_INT] * 5]),
    "engine_node": (
        _INT,
        [
            *(c_void_p, _INT, _INT, _INT, c_void_p, _INT, _INT, _INT),
            *(c_void_p, c_void_p, _INT, c_void_p, c_void_p, _INT),
        ],
    ),
    "engine_weights": (
        _INT,
        [
            *(c_void_p, _INT, _INT, _INT, _INT, _INT, _INT, _INT, _INT),
            *(c_void_p, _INT, c_int64, c_void_p, c_void_p, c_void_p),
            *[_INT] * 6,
        ],
    ),
    "engine_delays": (_INT, [c_void_p, _INT, _INT, _INT, *[c_void_p] * 4, _INT]),
    "engine_stream": (c_void_p, [c_void_p]),
    "engine_free_stream": (None, [c_void_p]),
    "engine_bytes": (c_int64, [c_void_p, c_void_p]),
    "engine_step": (_INT, [c_void_p] * 3),
    "engine_reset": (None, [c_void_p]),
    "engine_get_history": (None, [c_void_p, _INT, c_void_p]),
    "engine_set_history": (None, [c_void_p, _INT, c_void_p]),
    "engine_get_neurons": (None, [c_void_p, _INT, c_void_p, c_void_p]),
    "engine_set_neurons": (None, [c_void_p, _INT, c_void_p, c_void_p]),
    "refine_needs": (c_int64, [_INT] * 3),
    "refine_round": (None, [c_void_p, *[c_int64] * 3, *[_INT] * 4, *[c_void_p] * 4]),
}


def library_path() -> Path | None:
    """Return where the built library lies; None where it was not built.

    EDGESNN_ENGINE in the environment names another build, for sanitizers and experiments.
    """
    if chosen := os.environ.get(ENGINE):
        return Path(chosen)
    here = Path(__file__).parent
    found = [path for path in here.glob(f"{_NAME}*") if path.suffix in _SUFFIXES]
    return min(found, default=None)


@functools.cache
def library() -> ctypes.CDLL:
    """Return the library; raises InputError that says how to build it where it is missing."""
    path = library_path()
    if path is None:
        raise InputError(
            "the events backend is not here: it is C, and was not built when edgesnn was installed "
            "(was there a C compiler?); install one and edgesnn again, or use --backend onnx_cpu"
        )
    try:
        opened = ctypes.CDLL(str(path))
        for name, (result, arguments) in _CALLS.items():
            call = getattr(opened, name)
            call.restype, call.argtypes = result, arguments
        if opened.engine_called_as() != _CALLED_AS:
            raise OSError("it was built for another version")
    except (OSError, AttributeError) as error:
        raise InputError(
            f"the events backend cannot be opened ({error}); install edgesnn again, or use "
            "--backend onnx_cpu"
        ) from error
    return opened


def done(result: int) -> None:
    """Raise MemoryError where a call that takes memory says that there was none."""
    if result:
        raise MemoryError("no memory for the weights of the events backend")


def pointer(values: Tensor | None) -> Any:
    """Return what a call takes for an array, or for none."""
    return None if values is None else ctypes.c_void_p(values.ctypes.data)


def array(values: Tensor) -> tuple[Any, int]:
    """Return what a call takes for an int32 array: where, and how many."""
    return pointer(values), len(values)
