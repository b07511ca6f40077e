"""The command line's front door: one line in, an exit code out, errors as one sentence.

Everything else is imported inside `main`, where a Ctrl-C is heard: from the first moment on it ends
the program in silence, and during a run in order (`signals.py`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit: 0 done, 1 failed while running, 2 bad input, 130 Ctrl-C."""
    # The threads of NumPy's OpenBLAS wait for the next step without rest, which takes up to a third
    # of the processor's time in a run. It reads this when it is loaded.
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # While things are loaded there is nothing to close, and some of it (extension modules) makes
    # another error of a KeyboardInterrupt.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        from edgesnn.cli import streams
        from edgesnn.cli.signals import end_undisturbed

        heard = streams.prepare()
        code = run_line(sys.argv[1:] if arguments is None else arguments)
        failed = streams.flushed()
        if code == 0 and (failed or not heard):
            why = failed or "it is closed"
            code = _complain(f"standard output cannot be written: {why}", 1)
        end_undisturbed()
    except KeyboardInterrupt:  # between two lines of ours
        code = INTERRUPTED
    sys.exit(code)


def run_line(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Errors become one sentence on stderr."""
    from edgesnn.errors import EdgesnnError

    try:
        from edgesnn.cli.commands import command_line

        line = command_line()
        code = line(with_bare_devices(arguments), prog_name="edgesnn", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except SystemExit as ended:
        # So the parser and its help end when nobody reads them, which is no failure here.
        return 0 if ended.code in (None, 1) else int(ended.code)
    except EdgesnnError as error:
        if os.environ.get("EDGESNN_DEBUG") == "1":
            raise
        return _complain(str(error), error.exit_code)
    except OSError as error:
        # A name the system does not take, a disk that is full: nobody made a sentence of it.
        named = f"{error.filename}: " if error.filename else ""
        where = named[:200] or "the output cannot be written: "
        return _complain(f"{where}{error.strerror or error}", 2 if named else 1)
    except MemoryError:
        return _complain("there is not enough memory for this input", 1)
    except Exception as error:
        if type(error).__name__ == "Abort":  # what typer makes of a Ctrl-C
            return INTERRUPTED
        # What it finds wrong with the line is a usage error; anything else is a bug of ours.
        if not hasattr(error, "format_message"):
            raise
        found = error.format_message()
        where = getattr(getattr(error, "ctx", None), "command_path", None) or "edgesnn"
        # No words: the help was shown.
        return _complain(f"{found.rstrip('.')}. Try: {where} --help", 2) if found else 2
    return code if isinstance(code, int) else 0


def _complain(sentence: str, code: int) -> int:
    from edgesnn.text import shown

    print("edgesnn: " + shown(" ".join(sentence.split())), file=sys.stderr)
    return code


def with_bare_devices(arguments: Sequence[str]) -> list[str]:
    """Give options that may stand without a value (`--camera`) the one that this means.

    typer knows no optional values.
    """
    from edgesnn.sinks.catalog import SINKS
    from edgesnn.sources.catalog import LIVE

    bare = {entry.option.name: entry.option.bare for entry in (*LIVE, *SINKS)}
    given = list(arguments)
    for i, argument in enumerate(given):
        alone = i + 1 == len(given) or given[i + 1].startswith("-")
        if alone and bare.get(argument) is not None:
            given[i] = f"{argument}={bare[argument]}"
    return given
