"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgesnn.errors import InputError, RunError
from edgesnn.text import shown


def check_output(
    path: Path, option: str, endings: Collection[str], playing: Path | None = None
) -> None:
    """Raise InputError unless a file of one of these endings can be written there.

    option: what the user typed before the name, for the sentence. playing: the recording that is
    the source, which is never replaced.
    """
    told = f"{option} {shown(str(path))}"
    if path.suffix.lower() not in endings:
        raise InputError(f"{told}: the name must end in {' or '.join(sorted(endings))}")
    if path.exists() and not path.is_file():
        raise InputError(f"{told} is no plain file; give the name of one")
    if playing is not None and same_file(path, playing):
        raise InputError(f"{told} is the recording being played; give another name")
    if not path.parent.is_dir():
        raise InputError(f"{told}: there is no folder {shown(str(path.parent))}")


def same_file(a: Path, b: Path) -> bool:
    """Whether two names are of one file, which is there."""
    return a.exists() and b.exists() and a.samefile(b)


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """Yield a name to write to; it becomes `path` at the end, and nothing is left of a failure.

    A link is followed. Raises RunError when the disk is full or the folder cannot be written to.
    """
    target = path.resolve()
    part = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise RunError(
            f"{option} {shown(str(path))} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        with suppress(OSError):  # of a file system that cannot be written to, too
            part.unlink()
