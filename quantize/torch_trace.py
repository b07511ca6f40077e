"""The order in which a torch module calls its parts, found by tracing (torch.fx)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

from edgesnn.errors import InputError
from edgesnn.text import first_line

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

    class Proxy(fx.Proxy):  # one that tells what is changed in place
        def __iadd__(self, other: Any) -> Any:
            return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

        def __imul__(self, other: Any) -> Any:
            return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    class Tracer(fx.Tracer):
        def proxy(self, node: Any) -> Any:
            return Proxy(node, self)

        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            kind = type(m).__name__
            return is_known(kind) or kind in CONTAINERS and is_chain(m) or not list(m.children())

    about = type(module).__name__
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        graph = Tracer().trace(module)
    except Exception as error:  # whatever the module's own code does with what is no tensor
        said = first_line(error)[:160]
        raise InputError(
            f"{about}: its code cannot be followed ({said}); give it without branches on values, "
            "or as a Sequential"
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    parts = dict(module.named_modules())
    known: dict[Any, Flow] = {}
    for node in graph.nodes:
        where = f"{about}: {node.name}"
        if node.op == "placeholder":
            if known and node.users:
                raise InputError(f"{about} takes several inputs; one is carried over")
            known[node] = Flow(spikes=("x",))
        elif node.op == "output":
            (end,) = node.args
            if not isinstance(end, fx.Node) or end not in known:
                raise InputError(f"{about} gives several values; one is carried over")
            return known[end]
        elif node.op == "call_module":
            given = node.args[0] if len(node.args) == 1 and not node.kwargs else None
            if not isinstance(given, fx.Node) or given not in known:
                raise InputError(f"{where} is called with other than one value; {KNOWN}")
            known[node] = reader.chain(parts[node.target], node.target, known[given])
        elif node.op in ("call_function", "call_method"):
            known[node] = _called(node, known, reader, where)
            _check_in_place(node, list(graph.nodes), where)
        else:
            raise InputError(f"{where} reads {node.target} outside its modules; {KNOWN}")
    raise InputError(f"{about} gives nothing")


def _called(node: Any, known: dict[Any, Flow], reader: Reader, where: str) -> Flow:
    name = node.target if isinstance(node.target, str) else node.target.__name__
    pair = node.args if len(node.args) == 2 and not node.kwargs else (None, None)
    first, second = (known.get(one) if isinstance(one, type(node)) else None for one in pair)
    given = known.get(node.args[0]) if node.args and isinstance(node.args[0], type(node)) else None
    if name in _ADDS or name in _TIMES:
        join: Callable[[Flow, Flow, str], Flow] = reader.added if name in _ADDS else reader.times
        if first is not None and second is not None:
            return join(first, second, where)
    elif name in ("sub", "rsub") or node.target is operator.sub:
        one, flow = (pair[0], second) if name == "sub" else (pair[1], first)
        if one == 1 and flow is not None and flow.spikes and not flow.without:
            return Flow(spikes=flow.spikes, without=True)
    elif name in _PASSING and given is not None:
        return given
    elif name in _OVER_TIME and given is not None and _is_end(node):
        axes = node.args[1:] or tuple(node.kwargs.values())
        if axes in ((0,), ([0],)):  # over time: what a readout gathers
            return given
    said = ", ".join(str(given) for given in node.args)
    raise InputError(f"{where} is {name}({said}), which is not carried over; what is: {KNOWN}")


def _check_in_place(node: Any, nodes: list[Any], where: str) -> None:
    """Raise InputError where what a node changes in place is read behind it, by any name."""
    name = node.target if isinstance(node.target, str) else node.target.__name__
    if name not in ("add_", "iadd", "mul_", "imul"):
        return
    before, behind = nodes[: nodes.index(node)], nodes[nodes.index(node) + 1 :]
    same = {node.args[0]}
    for other in (*reversed(before), *before):  # what only hands on is the same tensor
        if other.op not in ("call_function", "call_method") or not other.args:
            continue
        passing = other.target if isinstance(other.target, str) else other.target.__name__
        if passing in _PASSING and (other in same or other.args[0] in same):
            same |= {other, other.args[0]}
    for other in behind:
        if other is not node and any(given in same for given in other.all_input_nodes):
            raise InputError(
                f"{where} changes in place what {other.name} reads later; write a = a + b"
            )


def _is_end(node: Any) -> bool:
    return all(user.op == "output" for user in node.users)
