"""What a source is opened for: a model, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgesnn.bundle import Bundle, list_bundles, load_bundle
from edgesnn.errors import BundleError, InputError
from edgesnn.senses.hearing import HearingSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who will hear a source.

    demo: the module that makes the app's synthetic scene, "" where it has none. settings: what was
    typed of the options that belong to the source, by `Option.key`.
    """

    bundle: Bundle
    demo: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def check_takes_events(bundle: Bundle, source: str) -> None:
    """Raise InputError when a model takes sound or pictures, and not the events of a sensor."""
    name = bundle.program.name
    if bundle.hearing is not None:
        raise InputError(
            f"the model {name} takes sound, and {source} is none{models_for(takes_events)}"
        )
    if bundle.latency is not None:
        raise InputError(
            f"the model {name} takes pictures, and {source} is none{models_for(takes_events)}"
        )


def sound_of(bundle: Bundle) -> HearingSpec:
    """Return how sound becomes what a model takes; raises InputError when it takes none."""
    if bundle.hearing is None:
        raise InputError(f"the model {bundle.program.name} takes no sound{models_for(takes_sound)}")
    return bundle.hearing


def takes_events(bundle: Bundle) -> bool:
    """Whether a model takes the events of a sensor."""
    return bundle.hearing is None and bundle.latency is None


def takes_sound(bundle: Bundle) -> bool:
    """Whether a model takes sound."""
    return bundle.hearing is not None


def takes_pictures(bundle: Bundle) -> bool:
    """Whether a model takes pictures."""
    return bundle.latency is not None


def models_for(takes: Callable[[Bundle], bool]) -> str:
    """Return the end of a sentence that names the bundled models which take something."""
    fitting = []
    for name in list_bundles():
        try:
            if takes(load_bundle(name)):
                fitting.append(name)
        except BundleError:
            continue  # a damaged one is nobody's advice
    return f"; try {' or '.join(f'--model {name}' for name in fitting)}" if fitting else ""
