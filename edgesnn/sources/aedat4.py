"""AEDAT4 recordings, decoded by dv-processing in a process of its own.

A damaged LZ4 file can make dv-processing hang for ever, deaf to Ctrl-C, or crash the interpreter:
of 30 files with one to three flipped bits, four hung. So a child process decodes and streams the
events here, and is killed when nothing comes for a while; whatever happens there ends as one clear
error here.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from edgesnn.errors import InputError, MissingDependency
from edgesnn.events import EVENT
from edgesnn.sources.aedat4_write import silent_until
from edgesnn.sources.found import Found, check_counts_us
from edgesnn.sources.stored import Spool, blocks_of
from edgesnn.text import shown

_MAGIC = b"#!AER-DAT4.0\r\n"
_SILENCE_S = 10.0
_S_PER_MB = 0.05
"""How long nothing may come: the start of a process, and one walk over the file on a slow disk."""
_MOST_BYTES_PER_BYTE = 300
"""LZ4 makes at most 255 bytes of one; a decoder that goes round in circles makes more."""
_READ_BYTES = 1 << 20


def events_from_aedat4(
    path: Path, size: tuple[int, int] | None = None, unit: str | None = None
) -> Found:
    """Read a file's event stream, the first where there are several.

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
    head, spool = _decoded(path)
    if spool.bytes % EVENT.itemsize:
        raise InputError(f"{path} cannot be decoded: the decoder stopped inside an event")
    try:
        (width, height), others = json.loads(head)
        width, height = int(width), int(height)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} does not say how large its sensor is; it is damaged") from error
    for first, block in blocks_of(spool):
        if int(block["p"].max()) > 1:
            at = int((block["p"] > 1).argmax())
            raise InputError(
                f"{path}: event {first + at} has the polarity {block['p'][at]}; there are 0 (OFF) "
                "and 1 (ON); the file is damaged"
            )
    check_counts_us(path, unit, "an .aedat4")
    notes, until_us = _of_file(path)
    if others:
        notes = (*notes, f"other streams of events in it were not read: {shown(', '.join(others))}")
    return Found(spool, size or (width, height), notes, until_us)


def _of_file(path: Path) -> tuple[tuple[str, ...], int | None]:
    """Say how much of a file is no whole packet, and until when it was silent at its end.

    A file ends within a packet when its writer was killed, or a copy was cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(len(_MAGIC))
        (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        header = file.read(min(length, _READ_BYTES))
        until_us, table = silent_until(header), _table_position(header)
        if 0 < table <= size:
            return (), until_us  # the table of packets, which is written last, is there
        whole = len(_MAGIC) + 4 + length
        while len(head := _at(file, whole, 8)) == 8:
            (packet,) = struct.unpack("<i", head[4:])
            if packet < 0 or whole + 8 + packet > size:
                break
            whole += 8 + packet
    lost = size - whole
    if lost <= 0:
        return (), until_us
    return (f"the file is cut off: its last {lost:,} of {size:,} bytes are no whole packet",), None


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _table_position(header: bytes) -> int:
    """Return where a file's header (FlatBuffer "IOHE") says that its table lies, -1: nowhere."""
    try:
        (root,) = struct.unpack_from("<I", header)
        (back,) = struct.unpack_from("<i", header, root)
        (place,) = struct.unpack_from("<H", header, root - back + 6)
        return int(struct.unpack_from("<q", header, root + place)[0]) if place else -1
    except struct.error:
        return -1


def _decoded(path: Path) -> tuple[bytes, Spool]:
    """Return the line that the decoder begins with, and the events behind it."""
    # -P and our own path: a json.py that lies where the user is must not be imported.
    command = [sys.executable, "-P", "-m", "edgesnn.sources.aedat4_decode", str(path.resolve())]
    modules = os.pathsep.join(folder for folder in sys.path if folder)
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=os.environ | {"PYTHONPATH": modules},
        )
        try:
            said = _all_of(child, path)
            child.wait(_SILENCE_S)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{path} cannot be decoded: the decoder does not end") from error
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if child.returncode:
            complaints.seek(0)
            why = complaints.read().decode(errors="replace").strip().splitlines()
            reason = why[-1] if why and child.returncode in (3, 4) else "the decoder crashed"
            if child.returncode != 4:
                reason += "; the file is damaged or truncated"
            raise InputError(f"{path} cannot be decoded: {reason}")
    return said


def _all_of(child: subprocess.Popen[bytes], path: Path) -> tuple[bytes, Spool]:
    """Collect the child's output to its end; raises InputError when it stalls or never stops."""
    assert child.stdout is not None
    size = path.stat().st_size
    patience_s = _SILENCE_S + _S_PER_MB * size / 1e6
    most = _READ_BYTES + _MOST_BYTES_PER_BYTE * size
    pipe = child.stdout.fileno()
    head, told, spool = b"", False, Spool()
    while select.select([pipe], [], [], patience_s)[0]:
        part = os.read(pipe, _READ_BYTES)
        if not part:
            return head, spool
        if not told:
            head, newline, part = (head + part).partition(b"\n")
            told = bool(newline)
        spool.write_bytes(part)
        if spool.bytes + len(head) > most:
            raise InputError(f"{path} decodes to more than it can hold; the file is damaged")
    raise InputError(
        f"{path} cannot be decoded: nothing came for {patience_s:.0f} s; the file is damaged"
    )
