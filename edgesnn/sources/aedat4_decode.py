"""The child process of `aedat4.py`: one file in, raw events out on standard output.

Prints the sensor size and the names of other streams of events as a JSON line, then every event in
the layout of edgesnn.EVENT, which is dv-processing's own. One line on standard error and exit code
3 when the file is damaged, 4 when it is whole and cannot be read all the same.
"""

from __future__ import annotations

import json
import signal
import sys

import numpy as np

from edgesnn.events import EVENT

_ORPHAN_S = 120
"""After so long without a batch a decoder that hangs ends by itself, its parent gone or not."""


def main(path: str) -> int:
    """Decode one file to standard output; return the exit code."""
    import dv_processing as dv  # type: ignore[import-not-found]

    out = sys.stdout.buffer
    try:
        # The kernel's default for the alarm ends the process even inside a call that never returns.
        signal.alarm(_ORPHAN_S)
        recording = dv.io.MonoCameraRecording(path)
        streams = list(recording.getStreamNames())
        events = [name for name in streams if recording.isStreamOfEventType(name)]
        # One stream of events is the one that is meant, whatever it is called.
        name = "events" if "events" in events else events[0] if len(events) == 1 else None
        if name is None:
            found = ", ".join(events or streams) or "none"
            several = "several streams of events" if events else "no event stream"
            return _refuse(f"it has {several} (its streams: {found})", 4)
        others = [other for other in events if other != name]
        head = json.dumps([list(recording.getEventResolution(name)), others]).encode()
        out.write(head + b"\n")
        # Of this stream alone: isRunning() without a name is over when any stream is.
        while recording.isRunning(name):
            signal.alarm(_ORPHAN_S)
            batch = recording.getNextEventBatch(name)
            if batch is not None:
                out.write(batch.numpy().view(EVENT).view(np.uint8).data)
    except (RuntimeError, IndexError, ValueError) as error:
        why = (str(error).strip().splitlines() or ["no reason given"])[0]
        # Where in the library's own source it stood tells people nothing.
        return _refuse("it ends too soon" if ".hpp(" in why else why, 3)
    out.flush()
    return 0


def _refuse(why: str, code: int) -> int:
    print(why, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
