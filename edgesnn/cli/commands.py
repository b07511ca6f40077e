"""What can be typed: every command, made when it is asked for; apps, sources and sinks add options.

Each imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from edgesnn import __version__
from edgesnn.app import APPS, load_app, sinks_of_apps
from edgesnn.cli.options import CELLS, EXIT, JSON, MODEL, NETWORK, OUTPUT, ROUNDS, backend_option
from edgesnn.cli.parsing import Given, taking
from edgesnn.options import Option

_SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def _run() -> Any:
    from edgesnn.cli.run import run_app
    from edgesnn.cli.source import source_options
    from edgesnn.sinks.catalog import SINKS

    options = [
        *source_options(),
        backend_option(),
        Option(
            "--threads",
            "Threads of the network.",
            int,
            default=1,
            least=1,
            most=1024,
            panel=NETWORK,
        ),
        MODEL,
        EXIT,
        CELLS,
        ROUNDS,
        Option(
            "--denoise",
            "Of a sensor's events: hot (pixels, mains flicker), full (background too), off.",
            metavar="HOW",
            default="hot",
            panel=NETWORK,
        ),
        Option("--duration", "Stop after this long.", float, metavar="SECONDS", panel=OUTPUT),
        Option(
            "--max-speed",
            "Of shown motion: what is brightest.",
            float,
            metavar="PX_S",
            panel=OUTPUT,
        ),
        *(entry.option for entry in (*SINKS, *sinks_of_apps())),
    ]
    about = "Run an app live, until its source ends or Ctrl-C."
    command = taking(options, run_app, about=about, app=f"What to run: {_names()}.")
    return _made("run", command, "Examples:\n\n" + _examples())


def _devices() -> Any:
    def devices() -> None:
        """List the cameras and microphones that edgesnn can see."""
        from edgesnn.cli.devices import show_devices

        show_devices()

    return _made("devices", devices)


def _models() -> Any:
    def show(given: Given) -> None:
        from edgesnn.cli.report import show_models

        show_models(given["model"], as_json=given["json"], check=given["verify"])

    about = "List the trained networks: task, size, accuracy and on what data, licence."
    one = Option("--model", "Only this one: its name, or a path ending in .json.", metavar="BUNDLE")
    verify = Option("--verify", "Replay what each must compute.", bool, default=False)
    return _made("models", taking([one, verify, JSON], show, about=about))


def _profile() -> Any:
    from edgesnn.cli.source import source_options

    def show(given: Given) -> None:
        from edgesnn.cli.profile import show_profile

        show_profile(given)

    options = [
        *source_options(),
        backend_option(),
        MODEL,
        CELLS,
        ROUNDS,
        Option("--steps", "How many steps to time (2000).", int, least=1),
        Option("--live", "Measure under the load of a source as it comes.", bool, default=False),
        Option("--duration", "With --live: for how long; 10 s.", float, metavar="SECONDS"),
        Option("--compare", "Time steps beside those of another.", metavar="BACKEND_OR_MODEL"),
        Option("--energy", "What a step takes, too: measured, and estimated.", bool, default=False),
        Option("--plot", "Draw it: OUT.svg or OUT.png.", Path, metavar="OUT"),
        JSON,
    ]
    about = "Measure where the time, the memory and the synaptic operations go."
    return _made("profile", taking(options, show, about=about, app=f"What to run: {_names()}."))


def _eval() -> Any:
    from edgesnn.cli.eval import eval_command

    about = "Measure how often an app is right on labelled recordings."
    return _group("eval", about, eval_command, "evaluation")


def _train() -> Any:
    from edgesnn.cli.train import train_command

    about = 'Train an app\'s network (needs the extra: pip install ".\\[train]").'
    return _group("train", about, train_command, "training")


def _import() -> Any:
    from edgesnn.cli.import_net import OPTIONS, import_net

    about = "Turn a trained network of another framework (a NIR graph) into a bundle."
    command = taking(OPTIONS, import_net, about=about, app="A .nir file.", metavar="NET")
    return _made("import", command)


def _export() -> Any:
    from edgesnn.cli.export import OPTIONS, about, export_model

    which = "An app, a model's name or a bundle's path."
    command = taking(OPTIONS, export_model, about=about(), app=which, metavar="MODEL")
    return _made("export", command)


COMMANDS: dict[str, Callable[[], Any]] = {
    "run": _run,
    "devices": _devices,
    "models": _models,
    "eval": _eval,
    "profile": _profile,
    "train": _train,
    "import": _import,
    "export": _export,
}


class _Commands(TyperGroup):
    """Makes a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return COMMANDS[cmd_name]() if cmd_name in COMMANDS else None


def command_line() -> Any:
    """Return the whole command line, to be called with arguments."""
    line = typer.Typer(
        name="edgesnn",
        cls=_Commands,
        help="Spiking networks at the edge: events in, decisions out.",
        epilog=f"Start with: [cyan]edgesnn run {next(iter(APPS))}[/]   "
        "then: [cyan]edgesnn run --help[/]",
        no_args_is_help=True,
        **_SETTINGS,
    )

    @line.callback(invoke_without_command=True)
    def _options(
        version: bool = typer.Option(False, "--version", help="Say which version."),
    ) -> None:
        if version:
            print(f"edgesnn {__version__}")
            raise typer.Exit()

    return get_group(line)


def _made(name: str, function: Callable[..., Any], epilog: str | None = None) -> Any:
    """Make one command of a function."""
    made = typer.Typer(**_SETTINGS)
    made.command(name=name, epilog=epilog)(function)
    return get_command(made)


def _group(
    name: str, about: str, command_of: Callable[[str], Callable[..., Any]], door: str
) -> Any:
    """Make a command whose own commands are the apps: each shows and takes just its own options.

    command_of: returns what runs it, of an app's name. door: the field of `App` that says whether
    an app has it at all.
    """

    class Apps(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [name for name in APPS if getattr(load_app(name), door)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in APPS and cmd_name.startswith("-"):
                return None  # an unknown option: the parser says so
            return _made(load_app(cmd_name).name, command_of(cmd_name))

    made = typer.Typer(name=name, cls=Apps, help=about, no_args_is_help=True, **_SETTINGS)
    made.callback()(lambda: None)
    return get_group(made)


def _names() -> str:
    *some, last = APPS
    return f"{', '.join(some)} or {last}" if some else last


def _examples() -> str:
    lines = [example for name in APPS for example in load_app(name).examples]
    return "\n\n".join(f"[cyan]{line}[/]  [dim]{meaning}[/]" for line, meaning in lines)
