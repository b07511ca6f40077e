"""Applications: a model, a sample recording to show it with, and a name to run it by."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from edgesnn.errors import InputError

APPS = ("gesture", "keyword", "digits")
"""Names that `load_app` knows."""


@dataclass(frozen=True, slots=True)
class App:
    """What `edgesnn run NAME` runs; a description, not a loop.

    summary: one sentence for people. model: name of the bundle. sample: file in `edgesnn.apps` that
    is played when no source is named. sources: options of `edgesnn run` that it takes.
    event_model: name of the bundle for events of a DVS, where it is another. samples: (name of a
    bundle, its own sample), for bundles that the app's sample says nothing to.
    """

    name: str
    summary: str
    model: str
    sample: str
    sources: tuple[str, ...] = ("--camera", "--webcam", "--file", "--demo")
    event_model: str | None = None
    samples: tuple[tuple[str, str], ...] = ()


def load_app(name: str) -> App:
    """Return the app of that name; raises InputError that lists the known ones."""
    if name not in APPS:
        raise InputError(f"there is no app {name!r}; the apps here are: {', '.join(APPS)}")
    app: App = importlib.import_module(f"edgesnn.apps.{name}").APP
    return app


def sample_path(app: App, model: str | None = None) -> Path:
    """Return where the sample recording lies that shows a model, None: the app's own.

    Raises InputError when it is not installed.
    """
    sample = dict(app.samples).get(model or app.model, app.sample)
    path = Path(str(resources.files("edgesnn.apps") / sample))
    if not path.is_file():
        raise InputError(
            f"the sample recording {path} is missing from this installation; name a source "
            f"({', '.join(app.sources)}) or install edgesnn again"
        )
    return path
