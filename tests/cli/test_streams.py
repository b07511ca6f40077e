"""Standard streams, names and signals as the world has them, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgesnn.app import load_app, sample_path
from edgesnn.text import shown

SAMPLE = sample_path(load_app("gesture"))


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = line.replace("edgesnn", f"{sys.executable} -m edgesnn", 1)
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("--duration 1", 0),
        ("| head -n 1", 0),
        ("& pid=$!; sleep 2; kill -TERM $pid; wait $pid", 143),
    ],
)
def test_a_pipe_may_be_open_when_a_run_ends(tmp_path: Path, how: str, code: int) -> None:
    """A thread that waits in standard input must not abort the interpreter."""
    line = f"mkfifo p; sleep 6 >p & edgesnn run keyword --stdin --json <p {how}"
    done = shell(line, tmp_path)
    assert b"Fatal" not in done.stderr and done.returncode == code, done.stderr


def test_a_run_without_a_step_has_no_latency(tmp_path: Path) -> None:
    done = shell("edgesnn run keyword --stdin --json </dev/null", tmp_path)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["steps"] == 0 and summary["latency_us"] is None
    plain = shell("edgesnn run keyword --stdin </dev/null", tmp_path).stdout.decode()
    assert "latency  not measured: no step was taken" in plain
    done = shell("edgesnn profile keyword --live --stdin --duration 1 </dev/null", tmp_path)
    assert done.returncode == 2 and b"gave nothing to measure" in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("edgesnn models >&-", 1, "standard output cannot be written: it is closed"),
        ("edgesnn run gesture --speed max >&-", 1, "standard output cannot be written"),
        ("edgesnn run keyword --stdin <&-", 2, ""),
        ("edgesnn --version >/dev/full", 1, "No space left on device"),
        ("edgesnn models --json >/dev/full", 1, "No space left on device"),
        ("edgesnn run --help >/dev/full", 1, "No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, line: str, code: int, said: str) -> None:
    done = shell(line, tmp_path)
    err = done.stderr.decode()
    assert done.returncode == code and said in err and "Traceback" not in err
    assert err.splitlines()[-1].startswith("edgesnn: ")


def test_a_closed_standard_error_puts_nothing_into_the_json(tmp_path: Path) -> None:
    done = shell("edgesnn run gesture --json --speed max 2>&-", tmp_path)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and told[-1]["type"] == "summary"


@pytest.mark.parametrize("line", ["models", "models --json", "run gesture --speed max", "--help"])
def test_nobody_reads(tmp_path: Path, line: str) -> None:
    done = shell(f"edgesnn {line} | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 0 and b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", [b"caf\xe9.bs2", "手.bs2".encode(), b"a\x1b[31m\x07.bs2"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_names_and_encodings(tmp_path: Path, name: bytes, encoding: str) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    shutil.copy(SAMPLE, path)
    base = [sys.executable, "-m", "edgesnn", "run", "gesture", "--speed", "max", "--file", path]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for extra in ([], ["--json"]):
        done = subprocess.run([*base, *extra], env=environment, capture_output=True, timeout=60)
        assert done.returncode == 0 and b"\x1b" not in done.stdout + done.stderr
        if extra:
            told = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
            assert told[-1]["source"] == "file:" + shown(os.fsdecode(name))


def test_what_cannot_be_shown_is_escaped() -> None:
    assert shown("a\x1b[31mb\x07\x7f\x9b\n") == r"a\x1b[31mb\x07\x7f\x9b\x0a"
    assert shown(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert shown("手 naïve") == "手 naïve"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_keep_the_recording(tmp_path: Path, number: int) -> None:
    """And a second Ctrl-C at once changes nothing."""
    line = [sys.executable, "-m", "edgesnn", "run", "gesture", "--loop", "--json"]
    child = subprocess.Popen(
        [*line, "--record", "rec.npz"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    raw = tmp_path / "rec.npz.raw"
    for _ in range(200):
        if raw.exists() and raw.stat().st_size > 10_000:
            break
        time.sleep(0.05)
    child.send_signal(number)
    time.sleep(0.02)
    if number == signal.SIGINT:
        child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number, err
    assert json.loads(out.splitlines()[-1])["type"] == "summary" and b"Traceback" not in err
    assert (tmp_path / "rec.npz").exists() and not raw.exists()


def test_code_of_the_current_folder_never_runs(tmp_path: Path) -> None:
    for name in ("cv2", "numpy", "struct", "dv_processing", "json"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    command = str(Path(sys.executable).with_name("edgesnn"))
    if not Path(command).exists():
        pytest.skip("edgesnn is not installed as a command beside this Python")
    display = {"DISPLAY": os.environ.get("DISPLAY", ":99")}
    for line in (["--view"], ["--record", "a.aedat4"], ["--file", "a.aedat4"]):
        subprocess.run(
            [command, "run", "gesture", "--speed", "max", *line],
            cwd=tmp_path,
            env=os.environ | display,
            capture_output=True,
            timeout=60,
        )
    assert not (tmp_path / "ran").exists()


def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    done = shell("edgesnn run gesture --record a.npz", tmp_path)
    assert done.returncode == 2 and b"is no plain file" in done.stderr


def test_what_a_killed_run_left_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.npz.raw").write_bytes(b"precious")
    done = shell("edgesnn run gesture --speed max --record a.npz", tmp_path)
    assert done.returncode == 2 and b"a.npz.raw is there" in done.stderr
    assert (tmp_path / "a.npz.raw").read_bytes() == b"precious"
