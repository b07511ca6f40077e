"""Plain JSON values become frozen descriptions, each value of the type of its field."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from edgesnn.errors import BundleError
from edgesnn.text import shown

Spec = TypeVar("Spec")


def described(kind: type[Spec], given: dict[str, Any]) -> Spec:
    """Return the description of a dataclass `kind` that plain values give.

    Raises BundleError that names a field which is strange, of another type, or out of range.
    """
    if not isinstance(given, dict):
        raise BundleError(f"{kind.__name__} is no object but {str(given)[:40]!r}")
    values = {
        field.name: _plain(kind, field.name, str(field.type), given[field.name])
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name in given
    }
    strange = sorted(set(given) - set(values))
    if strange:
        raise BundleError(f"{kind.__name__} has no {shown(strange[0])!r}")
    return kind(**values)


def _plain(kind: type[Any], name: str, wanted: str, value: Any) -> Any:
    """Return a value of a description; raises BundleError where it is of another type or range."""
    where = f"{kind.__name__}.{name}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted == "int":
        if not number or value != value or not 0 <= value < 2**31 or value != int(value):
            raise BundleError(f"{where} is {str(value)[:40]!r}, wanted a whole number from 0 on")
        return int(value)
    if wanted == "float":
        if not number or not abs(value) < 1e12:
            raise BundleError(f"{where} is {str(value)[:40]!r}, wanted a finite number")
        return float(value)
    if wanted == "bool":
        if not isinstance(value, bool):
            raise BundleError(f"{where} is {str(value)[:40]!r}, wanted true or false")
        return value
    if name == "labels":
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            raise BundleError(f"{where} is no list of names")
        return tuple(shown(label) for label in value)
    return shown(value) if isinstance(value, str) else value
