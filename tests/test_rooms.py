"""Who imports whom: down only, in no circle; the order of the rooms is docs/architecture.md's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIDES = ("models", "quantize", "hardware", "apps")
WINGS = {"edgesnn": "edgesnn"} | {f"edgesnn.{side}": side for side in SIDES}
Order = list[list[str]]


def order_of(page: str) -> Order:
    """Return the floors that a page tells, from the lowest."""
    (block,) = re.findall(r"```rooms\n(.*?)```", page, re.DOTALL)
    return [line.split() for line in reversed(block.strip().splitlines())]


def modules() -> dict[str, str]:
    """Return the text of every module of the product, by its dotted name."""
    found = {}
    for package, folder in WINGS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path.read_text()
    return found


def imports(name: str, text: str, known: Iterable[str], *, package: bool) -> set[str]:
    """Return the known modules that a module imports, anywhere in it."""
    known, found = set(known), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: None if package else -1]
            base = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {
                inner if (inner := f"{source}.{alias.name}") in known else source
                for alias in node.names
            }
    return (found & known) - {name}


def room_of(module: str, order: Order) -> tuple[int, str]:
    """Return the floor and the room of a module: the longest name that leads to it."""
    rooms = [(floor, room) for floor, names in enumerate(order) for room in names]
    inside = [
        (len(room), floor, room)
        for floor, room in rooms
        if module == room or (room != "edgesnn" and module.startswith(f"{room}."))
    ]
    assert inside, f"{module} is in no room of docs/architecture.md"
    _, floor, room = max(inside)
    return floor, room


def complaints(texts: dict[str, str], order: Order) -> list[str]:
    """Return what is wrong with the imports of modules: arrows up or sideways, and circles."""
    packages = {name.rpartition(".")[0] for name in texts}
    arrows = {
        name: imports(name, text, texts, package=name in packages) for name, text in texts.items()
    }
    wrong = []
    for name, targets in arrows.items():
        floor, room = room_of(name, order)
        for target in targets:
            below, other = room_of(target, order)
            if room != other and below >= floor:
                wrong.append(f"{name} imports {target}")
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        wrong.append("a circle: " + " -> ".join(error.args[1]))
    return wrong


@pytest.fixture(scope="module")
def order() -> Order:
    return order_of((ROOT / "docs" / "architecture.md").read_text())


def test_imports_go_down_only_and_in_no_circle(order: Order) -> None:
    texts = modules()
    assert len(texts) > 100
    assert complaints(texts, order) == []


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"edgesnn.app": "", "edgesnn.events": "import edgesnn.app"}, "edgesnn.events imports"),
        (
            {"edgesnn.bundle": "", "edgesnn.decide.a": "def f():\n    from edgesnn import bundle"},
            "edgesnn.decide.a imports edgesnn.bundle",
        ),
        ({"edgesnn.senses.a": "", "edgesnn.decide.b": "import edgesnn.senses.a"}, "imports"),
        (
            {
                "edgesnn.decide": "",
                "edgesnn.decide.a": "from typing import TYPE_CHECKING\n"
                "if TYPE_CHECKING:\n    from .b import C",
                "edgesnn.decide.b": "from . import a",
            },
            "a circle: ",
        ),
    ],
)
def test_the_check_sees_what_it_is_there_for(
    order: Order, texts: dict[str, str], found: str
) -> None:
    (told,) = complaints(texts, order)
    assert found in told


def test_no_file_outside_its_two_folders_names_a_task() -> None:
    """But the one list, `edgesnn.app.APPS`: no import, no text that a person or a door reads."""
    tasks = [path.name for path in (ROOT / "apps").iterdir() if (path / "__init__.py").is_file()]
    assert {"gesture", "keyword", "digits"} <= set(tasks)
    named = set()
    for name, text in modules().items():
        own = re.match(r"edgesnn\.(?:apps|models)\.(\w+)", name)
        for task in set(tasks) - ({own[1]} if own else set()):
            # In a task's own folder "digits" may be a word of English.
            strings = [] if own else _strings(ast.parse(text))
            arrows = imports(name, text, modules(), package=False)
            if any(re.search(rf"\b{task}\b", string) for string in strings) or any(
                f".{task}." in f"{arrow}." for arrow in arrows
            ):
                named.add(name)
    assert named == {"edgesnn.app"}


def _strings(tree: ast.Module) -> list[str]:
    """Return the strings of a module but its documentation."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    ]


def test_no_file_of_the_product_has_grown_two_ideas() -> None:
    long = {name: len(text.splitlines()) for name, text in modules().items()}
    assert {name for name, lines in long.items() if lines > 300} == set()
