"""edgesnn: a streaming runtime for spiking neural networks at the edge.

Importing this package loads nothing; its names load NumPy, and nothing heavier, when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesnn.errors import BundleError, EdgesnnError, InputError, MissingDependency, RunError
    from edgesnn.events import EVENT, Events, Packet, Source, empty_events, events_from_arrays

__version__ = "0.1.0"

__all__ = [
    "EVENT",
    "BundleError",
    "EdgesnnError",
    "Events",
    "InputError",
    "MissingDependency",
    "Packet",
    "RunError",
    "Source",
    "empty_events",
    "events_from_arrays",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgesnn' has no attribute {name!r}")
    from edgesnn import errors, events

    return getattr(errors if hasattr(errors, name) else events, name)
