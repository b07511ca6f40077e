"""AEDAT4 recordings, decoded by dv-processing in a process of its own.

A damaged LZ4 file can make dv-processing hang for ever or crash the interpreter. So the decoding
runs in a child process with a time limit; whatever happens there ends as one clear error here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgesnn.errors import InputError, MissingDependency
from edgesnn.events import EVENT, Events

_MAGIC = b"#!AER-DAT4.0\r\n"
_START_S = 20.0
_S_PER_MB = 0.5
"""A slow machine decodes at more than 2 MB/s."""


def events_from_aedat4(path: Path) -> tuple[Events, tuple[int, int]]:
    """Read a file's event stream; return its events and the sensor's (width, height).

    Raises InputError when the file is not AEDAT4, has no events or cannot be decoded in time;
    MissingDependency without dv-processing.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InputError(f"{path} is not an AEDAT4 file: it does not begin with #!AER-DAT4.0")
    if find_spec("dv_processing") is None:
        raise MissingDependency(
            'reading .aedat4 needs dv-processing; install it with: pip install "dv-processing>=2"'
        )
    limit_s = _START_S + _S_PER_MB * path.stat().st_size / 1e6
    command = [sys.executable, "-m", "edgesnn.sources.aedat4_decode", str(path.resolve())]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=limit_s, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{path} could not be decoded within {limit_s:.0f} s; the file is damaged"
        ) from error
    if child.returncode != 0:
        said = child.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said and child.returncode == 3 else "the decoder crashed"
        raise InputError(f"{path} cannot be decoded: {why}; the file is damaged or truncated")
    head, _, body = child.stdout.partition(b"\n")
    if len(body) % EVENT.itemsize:
        raise InputError(f"{path} cannot be decoded: the decoder stopped inside an event")
    width, height = json.loads(head)
    return np.frombuffer(body, EVENT), (int(width), int(height))
