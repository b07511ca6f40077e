"""The view under a shell's job control: Ctrl-Z, bg, fg, and a start in the background."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time

import pytest

_SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
run = [sys.executable, "-m", "edgesnn", "run", "gesture", "--loop"]
def start():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
job = subprocess.Popen(run, preexec_fn=start, stderr=subprocess.DEVNULL)
def to_front(pid):
    os.tcsetpgrp(0, pid)
if sys.argv[1] == "front":
    to_front(job.pid)
    os.waitpid(job.pid, os.WUNTRACED)
    to_front(os.getpgrp())
    print("STOPPED", flush=True)
else:
    print("STARTED", flush=True)
sys.stdin.readline()
os.killpg(job.pid, signal.SIGCONT)
print("BACKGROUND", flush=True)
sys.stdin.readline()
to_front(job.pid)
os.killpg(job.pid, signal.SIGCONT)
code = job.wait()
to_front(os.getpgrp())
print("ENDED", code, flush=True)
"""
_ALTERNATE = b"\x1b[?1049h"


class Shell:
    """A little shell on a terminal of its own, which controls it."""

    def __init__(self, how: str) -> None:
        self.pid, self.number = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", PYTHONWARNINGS="ignore")
            os.environ.pop("NO_COLOR", None)
            os.execv(sys.executable, [sys.executable, "-c", _SHELL, how])

    def read(self, until: bytes = b"", seconds: float = 20.0) -> bytes:
        """Return what the terminal shows until some bytes come, or for so long."""
        said, ends = b"", time.monotonic() + seconds
        while time.monotonic() < ends and not (until and until in said):
            if select.select([self.number], [], [], 0.05)[0]:
                try:
                    said += os.read(self.number, 1 << 16)
                except OSError:
                    break
        assert not until or until in said, said[-400:]
        return said

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.number, keys)

    def close(self) -> None:
        """End all."""
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.number)
        os.waitpid(self.pid, 0)


def test_a_job_in_the_background_leaves_the_shell_alone_and_comes_back_whole() -> None:
    shell = Shell("front")
    try:
        shell.read(_ALTERNATE)
        shell.read(seconds=0.5)
        shell.type(b"\x1a")  # Ctrl-Z
        shell.read(b"STOPPED")
        shell.type(b"\n")  # bg
        shell.read(b"BACKGROUND")
        assert b"\x1b" not in shell.read(seconds=1.0)
        shell.type(b"\n")  # fg
        shell.read(_ALTERNATE)
        shell.type(b"q")
        shell.read(b"ENDED 0")
    finally:
        shell.close()


def test_a_run_that_is_started_in_the_background_draws_nothing_until_it_comes_forward() -> None:
    shell = Shell("back")
    try:
        shell.read(b"STARTED")
        assert b"\x1b" not in shell.read(seconds=1.5)
        shell.type(b"\n")
        shell.read(b"BACKGROUND")
        shell.type(b"\n")
        shell.read(_ALTERNATE)
        shell.type(b"q")
        shell.read(b"ENDED 0")
    finally:
        shell.close()


pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="no job control here")
