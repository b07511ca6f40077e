"""Runs of the app that sees motion, and a sink that keeps what is heard of them."""

from __future__ import annotations

import threading
from typing import Any

from fake_runs import FakeSource, cut

from edgesnn.backend import load_model
from edgesnn.bundle import load_bundle
from edgesnn.events import Events
from edgesnn.sources.recording import Recording
from edgesnn.stream.pipeline import run


class Fields:
    """A sink that keeps decisions and fields."""

    def __init__(self) -> None:
        self.decisions, self.fields, self.summary = [], [], None

    def open(self, info, monitor) -> None:
        pass

    def packet(self, packet) -> None:
        pass

    def decision(self, decision) -> None:
        self.decisions.append(decision)

    def field(self, field, latency_us) -> None:
        self.fields.append(field)

    def close(self, summary) -> None:
        self.summary = summary


def seen(events: Events, size=(128, 128), packets: int | None = None) -> Fields:
    """Return what is heard of events, in packets of so many, or as recordings are played."""
    bundle = load_bundle("flow").fitted(size)
    chosen, model = load_model("auto", bundle)
    heard = Fields()
    source: Any = Recording(events, size, "file:x")
    if packets is not None:
        source = FakeSource(cut(events, packets), size=size)
    run(source, bundle, model, [heard], backend_name=chosen, stop=threading.Event())
    return heard
