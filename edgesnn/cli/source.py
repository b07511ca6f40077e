"""Which source `edgesnn run` opens: from the options as typed, for the app and its model."""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

from edgesnn.app import App, sample_path
from edgesnn.bundle import Bundle
from edgesnn.cli.parsing import Given, was_given
from edgesnn.errors import InputError
from edgesnn.events import Source
from edgesnn.options import Option
from edgesnn.sources.catalog import LIVE, PLAYING, VIDEOS, Live, file_option
from edgesnn.sources.files import open_file
from edgesnn.sources.image import is_image_file
from edgesnn.sources.mending import UNITS_US
from edgesnn.sources.wanted import Wanted
from edgesnn.text import shown

Opener = Callable[[Bundle], Source]
"""Opens the source once the model is known, which says what the events must be."""
_LARGEST = 65536  # x and y are 16 bits


def source_options() -> list[Option]:
    """Return every option that says where events come from."""
    live = [option for entry in LIVE for option in (entry.option, *entry.settings)]
    return [*live, file_option(), *PLAYING]


def chosen_source(app: App, given: Given) -> Opener:
    """Return what opens the one source that was asked for; the app's sample when none was.

    Raises InputError for more than one source, for one that the app does not take, and for options
    that do not fit it.
    """
    live = [entry for entry in LIVE if was_given(given.get(entry.option.key))]
    path: Path | None = given.get("file")
    asked = [entry.option.name for entry in live] + ["--file"] * (path is not None)
    asked.sort(key=[*app.sources, *asked].index)
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are {len(asked)} sources; give one of them")
    taken = asked and (asked[0] in app.sources or (live and live[0].stands_for(app.sources)))
    if asked and not taken:
        raise InputError(f"{app.name} takes no {asked[0]}; it takes {', '.join(app.sources)}")
    for entry in LIVE:
        for setting in entry.settings:
            if entry not in live and given.get(setting.key) is not None:
                raise InputError(
                    f"{setting.name} is for {entry.option.name}: other sources know it themselves"
                )
    if live:
        _refuse_for_live(live[0], given)
        return _live_source(app, live[0], given)
    speed, size = _speed(given.get("speed")), size_typed(given.get("sensor"))
    unit = unit_typed(given.get("time_unit"))
    loop = bool(given.get("loop"))

    def open_recorded(bundle: Bundle) -> Source:
        if path is not None:
            return open_file(path, bundle, speed=speed, loop=loop, size=size, unit=unit)
        sample = sample_path(app, bundle.program.name)
        pace = "in real time" if speed == 1 else f"at speed {given['speed']}"
        others = ", ".join(app.sources[:-1])
        print(
            f"edgesnn: no source given, playing the bundled recording {shown(sample.name)} {pace} "
            f"({others} and {app.sources[-1]} are others)",
            file=sys.stderr,
        )
        return open_file(sample, bundle, speed=speed, loop=loop, size=size, unit=unit)

    return open_recorded


def model_name(app: App, given: Given) -> str:
    """Return the bundle to run: the one given, else the app's for this kind of source."""
    if given.get("model") is not None:
        return str(given["model"])
    path: Path | None = given.get("file")
    seen_by_eye = path is not None and (is_image_file(path) or path.suffix.lower() in VIDEOS)
    recorded = path is not None and not seen_by_eye
    seen = [entry for entry in LIVE if was_given(given.get(entry.option.key))]
    dvs = any(entry.stands_for(["--camera"]) for entry in seen)
    if app.event_model is not None and (dvs or recorded):
        return app.event_model
    return app.model


def _refuse_for_live(live: Live, given: Given) -> None:
    for option in PLAYING:
        if was_given(given.get(option.key)):
            raise InputError(
                f"{option.name} is for recordings and {live.option.name} is live; leave one of "
                "them out"
            )


def _live_source(app: App, live: Live, given: Given) -> Opener:
    settings = {setting.key: given.get(setting.key) for setting in live.settings}

    def open_live(bundle: Bundle) -> Source:
        door = importlib.import_module(live.module).open_live
        source: Source = door(given[live.option.key], Wanted(bundle, app.demo, settings))
        return source

    return open_live


def _speed(text: str | None) -> float:
    if text is None:
        return 1.0
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 1e-6 <= speed <= 1e6:
        raise InputError(
            f"--speed {text} is no speed; give a number from a millionth to a million (1.0 is real "
            "time) or max"
        )
    return speed


def size_typed(text: str | None) -> tuple[int, int] | None:
    """Return the size of a sensor that was typed, such as 128x128; raises InputError."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.lower(), re.ASCII)
    if found is None or int(found[1]) > _LARGEST or int(found[2]) > _LARGEST:
        raise InputError(
            f"--sensor {text[:40]} is no size; give WIDTHxHEIGHT in pixels, such as 128x128, each "
            f"up to {_LARGEST}"
        )
    return int(found[1]), int(found[2])


def unit_typed(text: str | None) -> str | None:
    """Return the unit of times that was typed; raises InputError."""
    if text is not None and text not in UNITS_US:
        raise InputError(f"--time-unit {text} is none; give {', '.join(UNITS_US)}")
    return text
