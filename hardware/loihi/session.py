"""Ending a session of processes and what it left in shared memory.

Lava's processes wait for each other for ever once one of them fails, and a killed one leaves its
segments in /dev/shm. They are known by who maps them.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

_SEGMENT = re.compile(r"/dev/shm/(psm_[0-9a-f]+)")
_STATE, _SESSION = 0, 3  # fields of /proc/PID/stat, counted from the one after the name
_DEAD_S = 2.0


def members(session: int) -> list[int]:
    """Return the living processes of a session; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            told = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(told[_SESSION]) == session and told[_STATE] not in "ZX":
                found.append(int(entry.name))
    return found


def segments(session: int) -> set[str]:
    """Return the names of the shared-memory segments that a session's processes map."""
    found: set[str] = set()
    for process in members(session):
        with suppress(OSError):
            found |= set(_SEGMENT.findall(Path(f"/proc/{process}/maps").read_text()))
    return found


def end_session(session: int) -> None:
    """Remove a session's segments and kill all its processes, the caller too if it is one."""
    if os.getsid(0) != session:
        with suppress(OSError):
            os.killpg(session, signal.SIGSTOP)  # so that no segment is made meanwhile
    for name in segments(session):
        with suppress(OSError):
            Path("/dev/shm", name).unlink()
    with suppress(OSError):
        os.killpg(session, signal.SIGKILL)
    until = time.monotonic() + _DEAD_S
    while members(session) and time.monotonic() < until:
        time.sleep(0.01)
