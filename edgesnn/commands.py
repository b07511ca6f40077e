"""What can be typed: every command and option. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgesnn import __version__

_SOURCE, _NETWORK, _OUTPUT = "Where events come from", "Who computes", "What comes out"

_EXAMPLES = {
    "edgesnn run gesture": "the bundled recording, live",
    "edgesnn run gesture --camera": "the first DVS camera",
    "edgesnn run gesture --camera DXA00093 --record a.aedat4": "keep what it saw",
    "edgesnn run gesture --webcam 0 --view": "any camera, and a window",
    "edgesnn run gesture --file a.aedat4 --loop": "over and over",
    "edgesnn run gesture --file a.npz --speed max --json": "for other programs",
    "edgesnn run keyword --mic": "spoken digits, from the default microphone",
    "edgesnn run digits --file seven.png": "a picture, answered as soon as it is sure",
}
_RUN_EPILOG = "Examples:\n\n" + "\n\n".join(
    f"[cyan]{line}[/]  [dim]{meaning}[/]" for line, meaning in _EXAMPLES.items()
)

app = typer.Typer(
    name="edgesnn",
    help="Spiking networks at the edge: events in, decisions out.",
    epilog="Start with: [cyan]edgesnn run gesture[/]   then: [cyan]edgesnn run --help[/]",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

AppName = Annotated[
    str, typer.Argument(metavar="APP", help="What to run: gesture, keyword or digits.")
]
BackendName = Annotated[
    str,
    typer.Option(
        "--backend", help="onnx_cpu or reference.", metavar="NAME", rich_help_panel=_NETWORK
    ),
]
ModelName = Annotated[
    Optional[str],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--model", help="Bundle by name or path.", metavar="NAME_OR_PATH", rich_help_panel=_NETWORK
    ),
]
RecordingPath = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--file",
        help="A recording: .aedat4, .npz, .bs2 or .bin; sound; a picture.",
        metavar="PATH",
        rich_help_panel=_SOURCE,
    ),
]
Exit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--exit",
        help="When an answer may come early: exact, margin:X or never.",
        metavar="RULE",
        rich_help_panel=_NETWORK,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="JSON on stdout, nothing else.", rich_help_panel=_OUTPUT)
]


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Say which version.")] = False,
) -> None:
    if version:
        print(f"edgesnn {__version__}")
        raise typer.Exit()


@app.command(epilog=_RUN_EPILOG)
def run(
    name: AppName,
    camera: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="A live DVS camera: the first, or by serial number.",
            metavar="[SERIAL]",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    webcam: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="An ordinary camera, turned into events.", metavar="N", rich_help_panel=_SOURCE
        ),
    ] = None,
    mic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="A microphone: the default, or by number or name.",
            metavar="[DEVICE]",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    stdin: Annotated[
        bool,
        typer.Option(
            "--stdin", help="Raw 16-bit mono PCM on standard input.", rich_help_panel=_SOURCE
        ),
    ] = False,
    rate: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Samples per second of --stdin (16000).",
            metavar="HZ",
            min=1000,
            max=384_000,
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    file: RecordingPath = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="A synthetic camera.", rich_help_panel=_SOURCE)
    ] = False,
    speed: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Of a recording: 1.0 is real time, 0.25 slow, max.",
            metavar="FACTOR",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Play the recording again.", rich_help_panel=_SOURCE)
    ] = False,
    sensor: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Size of the recording's sensor.", metavar="WxH", rich_help_panel=_SOURCE
        ),
    ] = None,
    backend: BackendName = "onnx_cpu",
    threads: Annotated[
        int, typer.Option(help="Threads of the network.", min=1, rich_help_panel=_NETWORK)
    ] = 1,
    duration: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Stop after this long.", metavar="SECONDS", rich_help_panel=_OUTPUT),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Keep the events: .aedat4 or .npz.", metavar="OUT", rich_help_panel=_OUTPUT
        ),
    ] = None,
    as_json: Json = False,
    view: Annotated[
        bool, typer.Option("--view", help="Open a window.", rich_help_panel=_OUTPUT)
    ] = False,
    model: ModelName = None,
    exit_when: Exit = None,
) -> int:
    """Run an app live, until its source ends or Ctrl-C."""
    from edgesnn.cli_run import RunOptions, run_app
    from edgesnn.cli_source import SourceOptions

    return run_app(
        name,
        SourceOptions(camera, webcam, file, demo, speed, loop, sensor, mic, stdin, rate),
        RunOptions(backend, threads, duration, record, as_json, view, model, exit_when),
    )


@app.command()
def devices() -> None:
    """List the cameras and microphones that edgesnn can see."""
    from edgesnn.devices import list_devices

    found = list_devices()
    for device in found:
        app_name = "keyword" if device.kind == "microphone" else "gesture"
        use = f"edgesnn run {app_name} {device.option}" if device.option else "not available"
        print(f"{device.model}: {use}")
    kinds = {device.kind for device in found}
    if not kinds & {"camera", "webcam"}:
        print("no camera found; edgesnn run gesture --demo needs none")
    if "microphone" not in kinds:
        print("no microphone found; edgesnn run keyword --file PATH needs none")


@app.command()
def models(as_json: Json = False) -> None:
    """List the trained networks: task, size, accuracy and on what data, licence."""
    from edgesnn.cli_report import show_models

    show_models(as_json=as_json)


@app.command(name="eval")
def evaluate(
    name: AppName,
    data: Annotated[
        Path,
        typer.Option(
            help="gesture: a folder with labels.csv; keyword: D_SPEAKER_I.wav; digits: idx files, "
            "or N-MNIST recordings with an index file.",
        ),
    ],
    backend: BackendName = "onnx_cpu",
    model: ModelName = None,
    exit_when: Exit = None,
    takes: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="keyword: only recordings of these numbers.", metavar="A-B"),
    ] = None,
    carry_state: Annotated[
        bool, typer.Option("--carry-state", help="Do not reset the state between recordings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure how often an app is right on labelled recordings."""
    from edgesnn.cli_eval import EvalOptions, show_evaluation

    options = EvalOptions(data, backend, model, exit_when, takes, carry_state)
    show_evaluation(name, options, as_json=as_json)


@app.command()
def profile(
    name: AppName,
    file: RecordingPath = None,
    backend: BackendName = "onnx_cpu",
    model: ModelName = None,
    steps: Annotated[int, typer.Option(help="How many steps to time.", min=1)] = 2000,
    as_json: Json = False,
) -> None:
    """Measure where the time, the memory and the synaptic operations go."""
    from edgesnn.cli_report import show_profile

    show_profile(name, file, backend_name=backend, model_name=model, steps=steps, as_json=as_json)


@app.command()
def train(
    name: AppName,
    out: Annotated[Path, typer.Option(help="Folder of checkpoints and log.")],
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of the data set.", metavar="DIR"),
    ] = None,
    clips: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Simulated clips (shard_*.npz).", metavar="DIR"),
    ] = None,
    recordings: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Labelled recordings to train on too.", metavar="DIR"),
    ] = None,
    validate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Labelled recordings that only validate.", metavar="DIR"),
    ] = None,
    words: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="keyword: more words, WORD/*.wav.", metavar="DIR"),
    ] = None,
    noise: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="keyword: sounds to mix in.", metavar="DIR"),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="digits: mnist, fashion or nmnist.", metavar="NAME"),
    ] = None,
    start: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Checkpoint to begin from.", metavar="CKPT"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUT/last.pt.")] = False,
    updates: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Optimiser steps.", min=1),
    ] = None,
    epochs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="keyword: times through the data.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
) -> None:
    """Train an app's network (needs the extra: pip install "edgesnn\\[train]")."""
    from edgesnn.cli_train import TrainingOptions, train_app

    given = TrainingOptions(
        data, clips, recordings, validate, words, noise, model, start, resume, updates, epochs, seed
    )
    train_app(name, out, given)
