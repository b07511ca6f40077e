"""The order in which a torch module calls its parts, found by tracing (torch.fx)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

from edgesnn.errors import InputError

from .torch_modules import CONTAINERS, KNOWN, Flow, is_chain, is_known

_ADDS = ("add", "add_", "iadd")
_TIMES = ("mul", "mul_", "imul")
_PASSING = ("flatten", "contiguous", "float")
_OVER_TIME = ("mean", "sum")


class Reader(Protocol):
    """What is called in a module's order."""

    def chain(self, module: Any, name: str, flow: Flow) -> Flow:
        """Add a module that reads `flow`; return what it gives."""

    def added(self, a: Flow, b: Flow, where: str) -> Flow:
        """Return a + b."""

    def times(self, a: Flow, b: Flow, where: str) -> Flow:
        """Return a * b."""


def traced(module: Any, reader: Reader) -> Flow:
    """Call `reader` for what a module does, in its order; return what it gives at the end.

    Raises InputError that names a call which is not carried over.
    """
    from torch import fx

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            kind = type(m).__name__
            return is_known(kind) or kind in CONTAINERS and is_chain(m) or not list(m.children())

    about = type(module).__name__
    try:
        graph = Tracer().trace(module)
    except Exception as error:  # whatever the module's own code does with what is no tensor
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"{about}: its code cannot be followed ({said}); give it without branches on values, "
            "or as a Sequential"
        ) from error
    parts = dict(module.named_modules())
    known: dict[Any, Flow] = {}
    for node in graph.nodes:
        where = f"{about}: {node.name}"
        if node.op == "placeholder":
            known[node] = Flow(spikes=("x",))
        elif node.op == "output":
            (end,) = node.args
            if not isinstance(end, fx.Node) or end not in known:
                raise InputError(f"{about} gives several values; one is carried over")
            return known[end]
        elif node.op == "call_module":
            known[node] = reader.chain(parts[node.target], node.target, known[node.args[0]])
        elif node.op in ("call_function", "call_method"):
            known[node] = _called(node, known, reader, where)
        else:
            raise InputError(f"{where} reads {node.target} outside its modules; {KNOWN}")
    raise InputError(f"{about} gives nothing")


def _called(node: Any, known: dict[Any, Flow], reader: Reader, where: str) -> Flow:
    name = node.target if isinstance(node.target, str) else node.target.__name__
    flows = [known.get(given) if isinstance(given, type(node)) else None for given in node.args]
    if name in _ADDS or name in _TIMES:
        join: Callable[[Flow, Flow, str], Flow] = reader.added if name in _ADDS else reader.times
        first, second = flows
        if first is not None and second is not None and not node.kwargs:
            return join(first, second, where)
    elif name in ("sub", "rsub") or node.target is operator.sub:
        one, flow = (node.args[0], flows[1]) if name == "sub" else (node.args[1], flows[0])
        if one == 1 and flow is not None and flow.spikes and not flow.without:
            return Flow(spikes=flow.spikes, without=True)
    elif name in _PASSING and flows[0] is not None:
        return flows[0]
    elif name in _OVER_TIME and flows[0] is not None and _is_end(node):
        axes = node.args[1:] or tuple(node.kwargs.values())
        if axes in ((0,), ([0],)):  # over time: what a readout gathers
            return flows[0]
    said = ", ".join(str(given) for given in node.args)
    raise InputError(f"{where} is {name}({said}), which is not carried over; what is: {KNOWN}")


def _is_end(node: Any) -> bool:
    return all(user.op == "output" for user in node.users)
