"""Errors that users meet.

    EdgesnnError            base; exit code 1
      InputError            bad file, bad option, bad data: exit code 2
        BundleError         a model bundle is missing, damaged or inconsistent: exit code 2
      MissingDependency     an optional package is not installed: exit code 2
      RunError              it failed while running (camera unplugged, disk full): exit code 1

Every message is one full sentence (or two) that names what was found, where, what is wanted and
what to do. Ctrl-C is not an error: the command line ends with exit code 130.
"""

from __future__ import annotations


class EdgesnnError(Exception):
    """Base of every error that edgesnn raises on purpose."""

    exit_code = 1


class InputError(EdgesnnError):
    """The user's input cannot be used: a file, an option, a value."""

    exit_code = 2


class BundleError(InputError):
    """A model bundle is missing, damaged or does not agree with itself."""


class MissingDependency(InputError):
    """An optional package is needed; the message holds the exact pip line."""


class RunError(EdgesnnError):
    """Something failed at run time that was fine when the run began."""
