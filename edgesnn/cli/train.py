"""What `edgesnn train APP` does: the app's own training, and how good its bundle became."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesnn.app import load_app, training_of
from edgesnn.cli.parsing import Given, taking
from edgesnn.errors import InputError, MissingDependency
from edgesnn.options import Option

_COMMON = (
    Option("--out", "Folder of checkpoints and log.", Path, default=..., metavar="DIR"),
    Option("--resume", "Go on from OUT/last.pt.", bool, default=False),
    Option("--seed", "Of everything random.", int, default=0, least=0, most=2**31 - 1),
)


def train_command(name: str) -> Callable[..., Any]:
    """Return the command that trains an app's network; raises InputError."""
    app = load_app(name)
    training = training_of(app)

    def run(given: Given) -> None:
        train_app(name, **given)

    about = (
        f"Train the network of {app.name} and write its bundle, both into --out "
        '(needs the extra: pip install ".\\[train]").'
    )
    return taking([*_COMMON, *training.options], run, about=about)


def train_app(name: str, out: Path, **options: Any) -> None:
    """Train an app's network and write its bundle, both into folder `out`; tell how good it is.

    options: by `Option.key`; see `edgesnn train NAME --help`. Raises InputError for folders that
    cannot be used, MissingDependency without the packages that training needs.
    """
    app = load_app(name)
    training = training_of(app)
    given = {option.key: option.default for option in (*_COMMON, *training.options)}
    given |= {"out": out, **options}
    for option in training.options:
        path = given[option.key]
        if path is ...:
            raise InputError(f"training {name} needs {option.name}")
        if path is None or option.type is not Path:
            continue
        # A data set may also be named by its index file.
        data_file = option.name == "--data" and path.is_file()
        if option.metavar == "DIR" and not (path.is_dir() or data_file):
            raise InputError(f"{option.name} {path} is not a folder")
        if option.metavar != "DIR" and not path.is_file():
            raise InputError(f"{option.name} {path} is not a file")
    began = sorted(given["out"].glob("last.pt")) or sorted(given["out"].glob("*/last.pt"))
    if began and not given["resume"]:
        raise InputError(
            f"--out {given['out']} holds a training ({began[0]}): go on with it with --resume, or "
            "give another folder"
        )
    for package in training.packages:
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(
                f'training needs {package}; install it with: pip install ".[train]"'
            )
    line = f"edgesnn train {app.name}"
    named = f" --model {given['model']}" if given.get("model") else ""
    card = {"task": app.summary, "licence": "", "recipe": line + named}
    try:
        bundle = training.train(given["out"], card, given)
    except OSError as error:
        if error.filename is None or Path(error.filename) != given["out"]:
            raise
        raise InputError(f"--out {given['out']} cannot be made: {error.strerror}") from error
    for row in bundle.card.get("accuracy", []):
        print(f"{row['data']}: {row['accuracy']:.1%} of {row['n']}, integer program, streamed")
    path = given["out"] / f"{bundle.program.name}.json"
    print(f"try it with: edgesnn run {app.name} --model {path}")
