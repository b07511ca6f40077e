"""An app's synthetic camera: the module that its description names makes the scene."""

from __future__ import annotations

import importlib
from typing import Any

from edgesnn.events import Source
from edgesnn.sources.wanted import Wanted, check_takes_events


def open_live(value: Any, wanted: Wanted) -> Source:
    """Open the app's scene; raises InputError for a model that takes no events."""
    check_takes_events(wanted.bundle, "--demo")
    source: Source = importlib.import_module(wanted.demo).open_demo(0)
    return source
