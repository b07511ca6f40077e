"""How the nodes of a program are joined as Lava processes."""

from __future__ import annotations

import math

from edgesnn.errors import BundleError
from edgesnn.program import Node, Previous, Program

MOST_INPUTS = 8
"""Ports of a process that take other processes' outputs."""


def check_wiring(program: Program) -> None:
    """Raise BundleError with the name of the node that reads too many others."""
    for node in program.nodes:
        if len(node.reads) > MOST_INPUTS:
            raise BundleError(
                f"{node.name} reads {len(node.reads)} others, and a Lava process here has "
                f"{MOST_INPUTS} inputs"
            )
    if len(ends(program)) > MOST_INPUTS:
        raise BundleError(
            f"{program.name} has {len(ends(program))} nodes that nothing reads, and at most "
            f"{MOST_INPUTS} can be waited for"
        )


def inputs_of(node: Node) -> tuple[str, ...]:
    """Return what a node's process takes: what it reads, of a later node one step late."""
    return (node.later,) if isinstance(node, Previous) else node.reads


def ends(program: Program) -> list[str]:
    """Return what must have come for a step to be over: the output, and what nothing reads."""
    read = {name for node in program.nodes for name in inputs_of(node)}
    unread = [node.name for node in program.nodes if node.name not in read]
    return [program.output, *(name for name in unread if name != program.output)]


def size_of(program: Program, name: str) -> int:
    """Return how many numbers a value has; "x" is the input."""
    return math.prod(program.input_shape if name == "x" else program.values[name].shape)
