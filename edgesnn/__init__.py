"""edgesnn: a streaming runtime for spiking neural networks at the edge.

Importing this package loads NumPy and nothing heavier.
"""

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
