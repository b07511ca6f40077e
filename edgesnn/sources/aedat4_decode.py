"""The child process of `aedat4.py`: one file in, raw events out on standard output.

Prints the sensor size as a JSON line, then every event in the layout of edgesnn.EVENT, which is
dv-processing's own. Exit code 3 and one line on standard error when the file cannot be read.
"""

from __future__ import annotations

import json
import sys

from edgesnn.events import EVENT


def main(path: str) -> int:
    """Decode one file to standard output; return the exit code."""
    import dv_processing as dv

    out = sys.stdout.buffer
    try:
        recording = dv.io.MonoCameraRecording(path)
        if not recording.isEventStreamAvailable():
            print("it has no event stream", file=sys.stderr)
            return 3
        out.write(json.dumps(recording.getEventResolution()).encode() + b"\n")
        while recording.isRunning("events"):
            batch = recording.getNextEventBatch()
            if batch is not None:
                out.write(batch.numpy().view(EVENT).tobytes())
    except (RuntimeError, IndexError, ValueError) as error:
        print(str(error).strip().splitlines()[0], file=sys.stderr)
        return 3
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
