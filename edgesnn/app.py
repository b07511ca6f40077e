"""Apps: a task that is run by its name. The one list of them, and the doors to what each brings.

An app is a package with `APP`, its frozen description. What it says of its evaluation and training
lies in modules of their own, which are imported when they are needed.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesnn.errors import InputError
from edgesnn.options import Option
from edgesnn.sinks.catalog import Asked
from edgesnn.sources.catalog import LIVE

if TYPE_CHECKING:  # the list of apps is read before anything heavy is needed
    from edgesnn.backend import Model
    from edgesnn.bundle import Bundle
    from edgesnn.decide.exit_rule import ExitRule

APPS = {
    "gesture": "edgesnn.apps.gesture",
    "keyword": "edgesnn.apps.keyword",
    "digits": "edgesnn.apps.digits",
    "flow": "edgesnn.apps.flow",
}
"""The apps: name and package."""


@dataclass(frozen=True, slots=True)
class App:
    """What `edgesnn run NAME` runs; a description, not a loop.

    summary: one sentence for people. model: the bundle, by name or path. sample: file in the app's
    package that is played when no source is named. sources: options of `edgesnn run` that it takes.
    event_model: the bundle for events of a DVS, where it is another. samples: (name of a bundle,
    its own sample), for bundles that the app's sample says nothing to.
    evaluation, training: modules with `EVALUATION` (`Evaluation`) and `TRAINING` (`Training`), ""
    where there is none. demo: module with `open_demo(seed)`, for --demo. sinks: who else can hear a
    run of this app, as in `edgesnn.sinks.catalog`.
    examples: (line, what it does), for the help of `edgesnn run`.
    """

    name: str
    summary: str
    model: str
    sample: str
    sources: tuple[str, ...] = ("--camera", "--webcam", "--file")
    event_model: str | None = None
    samples: tuple[tuple[str, str], ...] = ()
    evaluation: str = ""
    training: str = ""
    demo: str = ""
    sinks: tuple[Asked, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How `edgesnn eval NAME` measures an app.

    data: help of --data. options: what it takes besides the common ones. report: the measurement,
    (bundle, model, data, exit rule or None, what was typed by `Option.key`) to plain JSON values;
    raises InputError. show: prints a report for people, (bundle, report, what was
    typed). model_for: the bundle that fits the data,
    where the app has several.
    """

    data: str
    report: Callable[[Bundle, Model, Path, ExitRule | None, Mapping[str, Any]], dict[str, Any]]
    show: Callable[[Bundle, dict[str, Any], Mapping[str, Any]], None]
    options: tuple[Option, ...] = ()
    model_for: Callable[[App, Path], str] | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """How `edgesnn train NAME` trains an app's network.

    options: what it takes besides --out, --seed and --resume. train: trains into a folder and
    writes the bundle there, (out, card, what was typed by `Option.key`) to the bundle; raises
    InputError. packages: what must be installed for it.
    """

    options: tuple[Option, ...]
    train: Callable[[Path, dict[str, Any], Mapping[str, Any]], Bundle]
    packages: tuple[str, ...] = ("torch", "onnx")


def load_app(name: str) -> App:
    """Return the app of that name, or one that runs the bundle of that path (.json).

    Raises InputError that lists the known ones.
    """
    if name.endswith(".json"):
        return _app_of(name)
    if name not in APPS:
        raise InputError(
            f"there is no app {name!r}; the apps here are: {', '.join(APPS)}; a bundle of your own "
            "is run by the path of its .json"
        )
    app: App = importlib.import_module(APPS[name]).APP
    return app


def _app_of(path: str) -> App:
    """Return what runs a bundle that belongs to no app, on what it takes."""
    return App(
        name=path,
        summary=f"Runs {path}.",
        model=path,
        sample="",
        sources=_sources_of(Path(path)),
        evaluation="edgesnn.cli.recordings",
    )


def _sources_of(path: Path) -> tuple[str, ...]:
    """Return the sources that a bundle takes, from its description; what is wrong with it is said
    when it is loaded."""
    try:
        told = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        told = {}
    if isinstance(told, dict) and told.get("hearing") is not None:
        return ("--mic", "--stdin", "--file")
    if isinstance(told, dict) and told.get("latency") is not None:
        return ("--webcam", "--file")
    return ("--camera", "--webcam", "--file")


def evaluation_of(app: App) -> Evaluation:
    """Return how an app is measured; raises InputError where it says nothing of it."""
    if not app.evaluation:
        raise InputError(f"{app.name} cannot be measured: it has no evaluation")
    evaluation: Evaluation = importlib.import_module(app.evaluation).EVALUATION
    return evaluation


def training_of(app: App) -> Training:
    """Return how an app's network is trained; raises InputError where it says nothing of it."""
    if not app.training:
        raise InputError(f"{app.name} cannot be trained: it has no training")
    training: Training = importlib.import_module(app.training).TRAINING
    return training


def sinks_of_apps() -> list[Asked]:
    """Return every sink that an app brings."""
    return [entry for name in APPS for entry in load_app(name).sinks]


def apps_taking(option: str) -> list[str]:
    """Return the names of the apps that take a source, such as "--mic"."""
    like = {entry.like for entry in LIVE if entry.option.name == option}
    return [name for name in APPS if {option, *like} & {*load_app(name).sources}]


def sample_path(app: App, model: str | None = None) -> Path:
    """Return where the sample recording lies that shows a model, None: the app's own.

    Raises InputError when it is not installed.
    """
    if not app.sample:
        raise InputError(
            f"{app.name} has no recording of its own; name a source ({', '.join(app.sources)})"
        )
    sample = dict(app.samples).get(model or app.model, app.sample)
    path = Path(str(resources.files(APPS[app.name]) / sample))
    if not path.is_file():
        raise InputError(
            f"the sample recording {path} is missing from this installation; name a source "
            f"({', '.join(app.sources)}) or install edgesnn again"
        )
    return path
