"""Whether Lava is there, in the version that was tried, and what to type where it is not."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec

from edgesnn.errors import InputError, MissingDependency

VERSION = "0.10.0"
LINES = (
    'pip install "scipy>=1.11,<1.16" networkx==2.8.7 "asteval>=0.9.31,<0.10" '
    '"scikit-learn>=1.5,<1.8"',
    f"pip install --no-deps --ignore-requires-python lava-nc=={VERSION}",
)
"""Lava is archived and asks for a Python below 3.11: its dependencies first, then itself alone."""
BOARD_MODULES = ("lava.utils.loihi2_profiler", "nxcore")
"""What Intel's extension for real boards brings; it is on no public index."""


def installed_version() -> str | None:
    """Return the version of Lava that is installed; None where there is none."""
    try:
        return importlib.metadata.version("lava-nc")
    except importlib.metadata.PackageNotFoundError:
        return None


def check_lava() -> None:
    """Raise MissingDependency without Lava, InputError where it is another version."""
    found = installed_version()
    if found is None:
        typed = "\n    ".join(LINES)
        raise MissingDependency(
            "--backend loihi needs Lava, which is archived and installs in two lines (best into an "
            f"environment of its own, after edgesnn; see docs/loihi.md):\n    {typed}"
        )
    if found != VERSION:
        raise InputError(
            f"--backend loihi was tried with Lava {VERSION} and here is {found}; install it with: "
            f"{LINES[1]}"
        )


def boards() -> bool:
    """Whether Intel's extension for real boards seems to be there."""
    try:
        return any(find_spec(name) is not None for name in BOARD_MODULES)
    except ModuleNotFoundError:  # no Lava at all
        return False
