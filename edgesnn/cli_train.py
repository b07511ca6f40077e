"""What `edgesnn train` does: hand the folders to the recipe of the app, and ship what it made."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesnn.app import App, load_app
from edgesnn.bundle import Bundle
from edgesnn.errors import InputError, MissingDependency


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """As typed; see `edgesnn train --help`. None: not given."""

    data: Path | None = None
    clips: Path | None = None
    recordings: Path | None = None
    validate: Path | None = None
    words: Path | None = None
    noise: Path | None = None
    model: str | None = None
    start: Path | None = None
    resume: bool = False
    updates: int | None = None
    epochs: int | None = None
    seed: int = 0


_TAKEN = {
    "gesture": {"data", "clips", "recordings", "validate", "start", "updates"},
    "keyword": {"data", "words", "noise", "epochs"},
    "digits": {"data", "model", "updates"},
}
_FOLDERS = ("data", "clips", "recordings", "validate", "words", "noise")


def train_app(name: str, out: Path, given: TrainingOptions) -> None:
    """Train an app's network and write its bundle, both into folder `out`; tell how good it is.

    Raises InputError for options that the app does not take and folders that cannot be used,
    MissingDependency without PyTorch.
    """
    app = load_app(name)
    _check(app, given)
    for package in ("torch", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(
                f'training needs {package}; install it with: pip install "edgesnn[train]"'
            )
    bundle = {"gesture": _gesture, "keyword": _keyword, "digits": _digits}[name](app, out, given)
    for row in bundle.card.get("accuracy", []):
        print(f"{row['data']}: {row['accuracy']:.1%} of {row['n']}, integer program, streamed")
    path = out / f"{bundle.program.name}.json"
    print(f"try it with: edgesnn run {app.name} --model {path}")


def _check(app: App, given: TrainingOptions) -> None:
    for option in _FOLDERS + ("model", "start", "updates", "epochs"):
        value = getattr(given, option)
        if value is None:
            continue
        if option not in _TAKEN[app.name]:
            taken = ", ".join(f"--{name}" for name in sorted(_TAKEN[app.name]))
            raise InputError(f"edgesnn train {app.name} takes no --{option}; it takes {taken}")
        if option in _FOLDERS and not (value.is_dir() or (option == "data" and value.is_file())):
            raise InputError(f"--{option} {value} is not a folder")
    if app.name == "gesture" and not (given.data or given.clips or given.recordings):
        raise InputError(
            "there is nothing to train on; give --data with the DVS128 Gesture folder, --clips "
            "with simulated clips, or --recordings with labelled recordings"
        )
    if app.name != "gesture" and given.data is None:
        raise InputError("there is nothing to train on; give --data with a folder of the data set")
    if given.start is not None and not given.start.is_file():
        raise InputError(f"--start {given.start} is not a file")


def _recipe_card(app: App, given: TrainingOptions) -> dict[str, Any]:
    model = f" --model {given.model}" if given.model else ""
    return {"task": app.summary, "licence": "", "recipe": f"edgesnn train {app.name}{model}"}


def _gesture(app: App, out: Path, given: TrainingOptions) -> Bundle:
    train = importlib.import_module("edgesnn.models.train").train_gesture
    trained = train(
        out,
        data=given.data,
        clips=given.clips,
        recordings=given.recordings,
        validate=given.validate,
        start=given.start,
        resume=given.resume,
        updates=given.updates,
        seed=given.seed,
    )
    bundle: Bundle = importlib.import_module("edgesnn.quantize.ship").ship(
        trained.checkpoint,
        out,
        sets=trained.checks,
        calibrate_on=next(iter(trained.checks)),
        card=_recipe_card(app, given),
        name=app.name,
    )
    return bundle


def _keyword(app: App, out: Path, given: TrainingOptions) -> Bundle:
    train = importlib.import_module("edgesnn.models.train_words").train_keyword
    checkpoint, material = train(
        out,
        data=given.data,
        words=given.words,
        noise=given.noise,
        epochs=given.epochs,
        seed=given.seed,
        resume=given.resume,
    )
    ship = importlib.import_module("edgesnn.quantize.ship_keyword").ship
    bundle: Bundle = ship(checkpoint, out, material=material, card=_recipe_card(app, given))
    return bundle


def _digits(app: App, out: Path, given: TrainingOptions) -> Bundle:
    model = given.model or app.model
    train = importlib.import_module("edgesnn.models.train_pictures").train_digits
    checkpoint = train(
        out,
        model=model,
        data=given.data,
        updates=given.updates,
        seed=given.seed,
        resume=given.resume,
    )
    held_out = out / "held_out.txt"
    data, about = (
        (held_out, "N-MNIST recordings held out from training")
        if model == "nmnist"
        else (given.data, f"{model} test set")
    )
    ship = importlib.import_module("edgesnn.quantize.ship_digits").ship
    card = _recipe_card(app, given)
    bundle: Bundle = ship(checkpoint, out, name=model, data=data, about=about, card=card)
    return bundle
