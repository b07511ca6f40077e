"""Standard streams as they come: closed, full, of any encoding."""

from __future__ import annotations

import errno
import io
import os
import sys

_NOBODY = (errno.EPIPE, errno.EINVAL)  # Windows says EINVAL of a pipe that nobody reads


def prepare() -> bool:
    """Make the standard streams safe to use; return whether standard output was open.

    A closed stream's number would go to the next file that is opened, and what is meant for people
    would land in it: it is given to the null device. What cannot be shown in the terminal's
    encoding is escaped and not raised.
    """
    was_open = _is_open(1)
    for number in (0, 1, 2):
        if not _is_open(number):
            null = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lives as long as we do
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return was_open


def flushed() -> str | None:
    """Write out what is still held back; return why that failed, "" when nobody reads any more."""
    try:
        sys.stdout.flush()
        return None
    except OSError as error:
        # Without this the interpreter would complain while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return "" if error.errno in _NOBODY else (error.strerror or str(error))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
