"""Names from the world, made safe to show: file names, labels, what a device calls itself."""

from __future__ import annotations

import io
import re
from typing import TextIO

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shown(text: str) -> str:
    r"""Return text with what a terminal would obey, or cannot show, escaped as \xNN or \uNNNN.

    Bytes of a file name that are not UTF-8 (surrogates in Python) come out as the bytes they are.
    """
    return _UNSAFE.sub(_escaped, text)


def first_line(error: Exception) -> str:
    """Return what another library's error says, without its stack trace, or its name."""
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0])


def in_utf8(out: TextIO) -> TextIO:
    """Return an output that is written to in UTF-8 whatever the locale, as JSON is."""
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="backslashreplace")
    return out


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
