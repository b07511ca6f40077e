"""Damaged inputs for every decoder: each is read, or refused with one of our own errors.

    python tests/fuzz_decoders.py [DECODER ...] [--cases 100000] [--seed 0] [--fork]

Runs until the cases are through, or Ctrl-C; prints a line per decoder, and the first input that
raised anything else, which is kept as fuzz-DECODER-SEED-CASE.bin. `test_fuzz.py` runs a few.

--fork: .aedat4 files are decoded by forks of this process instead of new interpreters, and a second
of silence is a hang instead of ten: sixty times as many cases an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.random import Generator
from other_makers import WRITERS

from edgesnn.bundle import load_bundle
from edgesnn.errors import EdgesnnError
from edgesnn.events import events_from_arrays
from edgesnn.measure.evaluate import read_labels
from edgesnn.senses.latency import LatencySpec
from edgesnn.sources.aedat4_write import Aedat4File
from edgesnn.sources.bs2 import bs2_from_events
from edgesnn.sources.idx import read_idx
from edgesnn.sources.npz_write import npz_from_events
from edgesnn.sources.raw import raw_head
from edgesnn.sources.reading import read_recording

Reader = Callable[[Path], object]
_EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]


def damaged(data: bytes, rng: Generator) -> bytes:
    """Return a copy with some bits flipped, bytes cut, repeated, or numbers made extreme."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not made:
            break
        at = int(rng.integers(len(made)))
        match int(rng.integers(6)):
            case 0:
                made[at] ^= 1 << int(rng.integers(8))
            case 1:
                made[at] = int(rng.integers(256))
            case 2:
                del made[at:]
            case 3:
                size = int(rng.choice([2, 4, 8]))
                value = int(rng.choice(np.array(_EXTREMES, np.uint64))) % 256**size
                order = "little" if rng.random() < 0.5 else "big"
                made[at : at + size] = value.to_bytes(size, order)
            case 4:
                end = min(len(made), at + int(rng.integers(1, 64)))
                made[at:at] = made[at:end]
            case _:
                del made[at : at + int(rng.integers(1, 16))]
    return bytes(made)


def samples(folder: Path) -> dict[str, tuple[str, bytes, Reader]]:
    """Return for each decoder a file name, a good file, and what reads it."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 100_000, 200))
    events = events_from_arrays(t, *rng.integers(0, 34, (2, 200)), t % 2)
    bs2_from_events(folder / "a.bs2", events)
    npz_from_events(folder / "a.npz", events, (34, 34))
    plain = io.BytesIO()
    np.savez(plain, events=events, width=34, height=34)
    idx = (
        struct.pack(">4B3I", 0, 0, 8, 3, 4, 28, 28)
        + rng.integers(0, 256, 3136).astype("u1").tobytes()
    )
    (folder / "labels.csv").write_text("file,label,name\na.npz,1,clap\na.bs2,0,wave\n")

    def label_reader(path: Path) -> object:
        (folder / "labels.csv").write_bytes(path.read_bytes())
        return read_labels(folder, 11)

    found: dict[str, tuple[str, bytes, Reader]] = {
        "bs2": ("b.bs2", (folder / "a.bs2").read_bytes(), read_recording),
        "npz": ("b.npz", (folder / "a.npz").read_bytes(), read_recording),
        "npz_structured": ("b.npz", plain.getvalue(), read_recording),
        "raw": ("b.raw", raw_head((34, 34)) + events.tobytes(), read_recording),
        "idx": ("b-idx3-ubyte", idx, lambda path: read_idx(path, 3)),
        "idx_packed": ("b-idx3-ubyte.gz", gzip.compress(idx), lambda path: read_idx(path, 3)),
        "labels": ("b.csv", (folder / "labels.csv").read_bytes(), label_reader),
        "bundle": ("keyword.json", *_bundle(folder)),
    }
    small = events[:60]
    small["x"] %= 34
    for name, write in WRITERS.items():
        write(folder / name, small, (128, 128))
        found[name] = (f"b{Path(name).suffix}", (folder / name).read_bytes(), _sized)
    found |= _media(folder, rng)
    if find_spec("dv_processing") is not None:
        written = Aedat4File(folder / "a.aedat4", "x", (34, 34))
        written.write(events)
        written.until_us = 200_000
        written.close()
        found["aedat4"] = ("b.aedat4", (folder / "a.aedat4").read_bytes(), read_recording)
    return found


def _sized(path: Path) -> object:
    return read_recording(path, (128, 128))


def _bundle(folder: Path) -> tuple[bytes, Reader]:
    """The description of a bundle; its other files are good."""
    from importlib.resources import files

    from edgesnn.bundle import FILES, ZOO

    for kind in FILES:
        (folder / f"keyword.{kind}").write_bytes(
            files(ZOO).joinpath(f"keyword.{kind}").read_bytes()
        )
    description = json.loads(files(ZOO).joinpath("keyword.json").read_text())
    description["card"] = {}  # free text: damage there is no damage
    return json.dumps(description).encode(), load_bundle


def _media(folder: Path, rng: Generator) -> dict[str, tuple[str, bytes, Reader]]:
    import cv2
    import soundfile

    from edgesnn.sources.image import read_pictures
    from edgesnn.sources.sound_file import read_sound

    spec = LatencySpec(6, dark=False)
    picture = np.full((40, 40), 20, np.uint8)
    picture[10:30, 15:22] = 240
    found: dict[str, tuple[str, bytes, Reader]] = {}
    for kind in ("png", "jpg", "bmp"):
        data = cv2.imencode(f".{kind}", picture)[1].tobytes()
        found[kind] = (f"b.{kind}", data, lambda path: read_pictures(path, spec))
    sound = 0.2 * rng.normal(size=2000)
    for kind in ("wav", "flac", "ogg"):
        file = io.BytesIO()
        soundfile.write(file, sound, 8000, format=kind.upper())
        found[kind] = (f"b.{kind}", file.getvalue(), lambda path: read_sound(path, 8000))
    return found


def first_failure(
    name: str, sample: tuple[str, bytes, Reader], cases: int, seed: int, folder: Path
) -> tuple[int, bytes, BaseException] | None:
    """Try so many damaged inputs; return the first that raises what is no error of ours."""
    file, data, read = sample
    for case in range(cases):
        rng = np.random.default_rng((seed, case, *name.encode()))
        broken = damaged(data, rng)
        path = folder / file
        path.write_bytes(broken)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                read(path)
        except EdgesnnError:
            continue
        except Exception as error:
            return case, broken, error
    return None


class Fork:
    """What stands for `subprocess.Popen` in `sources.aedat4`: its child, forked."""

    def __init__(self, command: list[str], *, stderr: Any, **_: object) -> None:
        from edgesnn.sources import aedat4_decode

        end, start = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                os.dup2(start, 1)
                os.dup2(stderr.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                code = aedat4_decode.main(command[-1])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        os.close(start)
        self.stdout = os.fdopen(end, "rb")

    def kill(self) -> None:
        """End the child, unless it has been waited for."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the child; it has said all, or was killed."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def forked() -> contextlib.ExitStack:
    """Return a context in which `sources.aedat4` forks and is less patient; see `--fork`."""
    import dv_processing  # noqa: F401  what each child would import anew

    from edgesnn.sources import aedat4

    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(aedat4.subprocess, "Popen", Fork))
    stack.enter_context(mock.patch.object(aedat4, "_SILENCE_S", 1.0))
    return stack


def main() -> int:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("decoders", nargs="*")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fork", action="store_true")
    given = parser.parse_args()
    failed = 0
    faster = forked() if given.fork else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as made, faster:
        folder = Path(made)
        known = samples(folder)
        for name in given.decoders or known:
            began = time.monotonic()
            found = first_failure(name, known[name], given.cases, given.seed, folder)
            took = time.monotonic() - began
            if found is None:
                print(f"{name}: {given.cases} cases, all read or refused, {took:.0f} s", flush=True)
                continue
            case, broken, error = found
            kept = Path(f"fuzz-{name}-{given.seed}-{case}.bin")
            kept.write_bytes(broken)
            print(f"{name}: case {case} raised {error!r}; kept as {kept}", flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
