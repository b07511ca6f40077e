"""From a trained network to an exact integer program.

`from_nir` and `from_spikingjelly` bring networks of other frameworks in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgesnn.errors import InputError

from .conversion import Converted

__all__ = ["Converted", "from_nir", "from_spikingjelly"]


def from_nir(
    graph: Any,
    *,
    name: str,
    step_us: int = 1000,
    highest: int = 15,
    convention: str = "nir",
    reset: str | None = None,
    wide: bool = False,
    tune: list[Any] | None = None,
    epochs: int = 3,
) -> Converted:
    """Return what a NIR graph, a nir.NIRGraph or the path of a .nir file, becomes.

    name: of the program. step_us: of a step. highest: largest count of events at a pixel.
    convention, reset: see `conventions.py`. wide: weights of 14 bits instead of 8. tune: pairs of x
    over time (T, *shape), uint8, and its class, on which rounded weights are trained (`tune.py`),
    `epochs` times through. Raises InputError that names the node which is not carried over.
    """
    from .nir_read import read_nir

    given = Path(graph) if isinstance(graph, str) else graph
    net = read_nir(given, step_us=step_us, convention=convention, reset=reset)
    how = {"name": name, "step_us": step_us, "highest": highest, "wide": wide}
    return _made(net, tune, epochs, how)


def from_spikingjelly(
    net: Any,
    example: Any,
    *,
    name: str,
    step_us: int = 1000,
    highest: int = 15,
    state: Path | str | None = None,
    wide: bool = False,
    tune: list[Any] | None = None,
    epochs: int = 3,
) -> Converted:
    """Return what a SpikingJelly module becomes, in eval mode.

    example: (channels, height, width) of x, or an array of it with any axes before. state: a
    checkpoint of its parameters (a state_dict), which is read without running code. name, step_us,
    highest, wide, tune, epochs: as of `from_nir`. Raises InputError that names the module which is
    not carried over.
    """
    from .spikingjelly_read import read_spikingjelly
    from .torch_state import load_state

    if state is not None:
        load_state(net, Path(state))
    shape = tuple(int(side) for side in getattr(example, "shape", example)[-3:])
    found = read_spikingjelly(net, shape)  # type: ignore[arg-type]
    how = {"name": name, "step_us": step_us, "highest": highest, "wide": wide}
    return _made(found, tune, epochs, how)


def _made(net: Any, tune: list[Any] | None, epochs: int, how: dict[str, Any]) -> Converted:
    from .from_float import converted

    if not str(how["name"]).isidentifier():
        raise InputError(f"name is {how['name']!r}; wanted letters, numbers and _")
    for field, most in (("step_us", 1_000_000), ("highest", 255)):
        if not isinstance(how[field], int) or not 1 <= how[field] <= most:
            raise InputError(f"{field} is {how[field]!r}; wanted a whole number, 1 to {most:,}")
    if tune is not None:
        if how["wide"]:
            raise InputError("tune trains weights of 8 bits; leave wide out")
        from .tune import tuned

        net = tuned(net, tune, epochs=epochs)
    return converted(net, **how)
