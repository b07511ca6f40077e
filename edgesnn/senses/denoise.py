"""What is taken out of a sensor's events before a network sees them, and what is told of it."""

from __future__ import annotations

from typing import Literal

from edgesnn.events import Events
from edgesnn.senses.background import BackgroundActivity
from edgesnn.senses.flicker import Flicker
from edgesnn.senses.hot import HotPixels
from edgesnn.senses.lines import lines_of

Denoise = Literal["off", "hot", "full"]
"""Nothing; hot pixels and light that flickers with the mains; background activity too."""
DENOISE: tuple[Denoise, ...] = ("off", "hot", "full")
_LISTED = 8  # hot pixels, or lines of them, that are named


class Denoiser:
    """The filters of one sensor of (width, height), one after the other."""

    def __init__(self, size: tuple[int, int], denoise: Denoise = "hot") -> None:
        self._size = size
        self._hot = HotPixels(size) if denoise != "off" else None
        self._flicker = Flicker(size) if denoise != "off" else None
        self._background = BackgroundActivity(size) if denoise == "full" else None

    def feed(self, events: Events) -> Events:
        """Return the events that are kept; the same array where all are."""
        for own in (self._hot, self._flicker, self._background):
            if own is not None:
                events = own.feed(events)
        return events

    @property
    def removed(self) -> int:
        """Events taken out so far."""
        own = (self._hot, self._flicker, self._background)
        return sum(one.removed for one in own if one is not None)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of it."""
        return (*self._hot_pixels(), *self._lights())

    def _hot_pixels(self) -> tuple[str, ...]:
        found = [] if self._hot is None else self._hot.found()
        rows, columns = lines_of(found, self._size) if found else ([], [])
        lines = [*(f"row {y}" for y in rows), *(f"column {x}" for x in columns)]
        noisy = f"noise of {_listed(lines)} was shut out (--denoise off keeps it)"
        found = [(x, y) for x, y in found if y not in rows and x not in columns]
        told = (noisy,) if lines else ()
        if not found:
            return told
        places = _listed([f"({x}, {y})" for x, y in found])
        pixels = "1 hot pixel was" if len(found) == 1 else f"{len(found)} hot pixels were"
        return (*told, f"{pixels} shut out: {places} (--denoise off keeps them)")

    def _lights(self) -> tuple[str, ...]:
        if self._flicker is None or not self._flicker.removed:
            return ()
        at = " and ".join(f"{hz} Hz" for hz in sorted(self._flicker.found_hz))
        return (
            f"light that flickers at {at} was shut out: {self._flicker.removed:,} events "
            "(--denoise off keeps them)",
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
