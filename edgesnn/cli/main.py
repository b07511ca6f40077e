"""The command line's front door: one line in, an exit code out, errors as one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from edgesnn.cli.commands import command_line
from edgesnn.errors import EdgesnnError
from edgesnn.sources.catalog import LIVE

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit: 0 done, 1 failed while running, 2 bad input, 130 Ctrl-C."""
    code = run_line(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter would complain while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run_line(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Errors become one sentence on stderr."""
    try:
        line = command_line()
        code = line(with_bare_devices(arguments), prog_name="edgesnn", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except EdgesnnError as error:
        if os.environ.get("EDGESNN_DEBUG") == "1":
            raise
        return _complain(str(error), error.exit_code)
    except Exception as error:
        # What typer finds wrong with the line is a usage error; anything else is a bug of ours.
        if not hasattr(error, "format_message"):
            raise
        found = error.format_message()
        return _complain(f"{found} Try: edgesnn --help", 2) if found else 2  # no words: help shown
    return code if isinstance(code, int) else 0


def _complain(sentence: str, code: int) -> int:
    print("edgesnn: " + " ".join(sentence.split()), file=sys.stderr)
    return code


def with_bare_devices(arguments: Sequence[str]) -> list[str]:
    """Give options that may stand without a value (`--camera`) the one that this means.

    typer knows no optional values.
    """
    bare = {entry.option.name: entry.option.bare for entry in LIVE}
    given = list(arguments)
    for i, argument in enumerate(given):
        alone = i + 1 == len(given) or given[i + 1].startswith("-")
        if alone and bare.get(argument) is not None:
            given[i] = f"{argument}={bare[argument]}"
    return given
