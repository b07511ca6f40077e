"""Which cameras and microphones this machine has; a microphone is heard for a moment."""

from __future__ import annotations

import importlib

from edgesnn.errors import MissingDependency, RunError
from edgesnn.sources.catalog import LIVE
from edgesnn.sources.device import Device


def list_devices() -> list[Device]:
    """Return what each live source finds, or what it needs to be looked for."""
    found: list[Device] = []
    for live in LIVE:
        listed = getattr(importlib.import_module(live.module), "listed", None)
        if listed is None:
            continue
        try:
            found += listed()
        except (MissingDependency, RunError) as error:
            found.append(Device("missing", str(error), ""))
    return found
