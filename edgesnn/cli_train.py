"""What `edgesnn train` does: hand the folders to the recipe of the app."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgesnn.app import load_app
from edgesnn.errors import InputError, MissingDependency


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Folders, as typed; see `edgesnn train --help`."""

    data: Path | None = None
    clips: Path | None = None
    recordings: Path | None = None
    validate: Path | None = None


def train_app(
    name: str,
    out: Path,
    given: TrainingData,
    start: Path | None,
    resume: bool,
    updates: int | None,
    seed: int,
) -> None:
    """Train an app's network and write its bundle, both into folder `out`; tell how good it is.

    Raises InputError for folders that cannot be used, MissingDependency without PyTorch.
    """
    app = load_app(name)
    folders = {
        "--data": given.data,
        "--clips": given.clips,
        "--recordings": given.recordings,
        "--validate": given.validate,
    }
    for option, folder in folders.items():
        if folder is not None and not folder.is_dir():
            raise InputError(f"{option} {folder} is not a folder")
    if given.data is None and given.clips is None and given.recordings is None:
        raise InputError(
            "there is nothing to train on; give --data with the DVS128 Gesture folder, --clips "
            "with simulated clips, or --recordings with labelled recordings"
        )
    if start is not None and not start.is_file():
        raise InputError(f"--start {start} is not a file")
    for package in ("torch", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(
                f'training needs {package}; install it with: pip install "edgesnn[train]"'
            )
    train = getattr(importlib.import_module("edgesnn.models.train"), f"train_{app.name}")
    ship = importlib.import_module("edgesnn.quantize.ship").ship
    trained = train(
        out,
        data=given.data,
        clips=given.clips,
        recordings=given.recordings,
        validate=given.validate,
        start=start,
        resume=resume,
        updates=updates,
        seed=seed,
    )
    bundle = ship(
        trained.checkpoint,
        out,
        sets=trained.checks,
        calibrate_on=next(iter(trained.checks)),
        card={"task": app.summary, "licence": "", "recipe": f"edgesnn train {app.name}"},
        name=app.name,
    )
    for row in bundle.card["accuracy"]:
        print(f"{row['data']}: {row['accuracy']:.1%} of {row['n']}, integer program, streamed")
    print(f"try it with: edgesnn run {app.name} --model {out / app.name}.json")
