"""A DVS camera that follows a script, with the methods of an opened dv-processing camera."""

import numpy as np

from edgesnn.events import EVENT, events_from_arrays


class Batch:
    def __init__(self, events):
        self.events = events

    def size(self):
        return len(self.events)

    def numpy(self):
        names = {"t": "timestamp", "x": "x", "y": "y", "p": "polarity"}
        dtype = np.dtype(
            {
                "names": list(names.values()),
                "formats": ["<i8", "<i2", "<i2", "i1"],
                "offsets": [0, 8, 10, 12],
                "itemsize": EVENT.itemsize,
            }
        )
        return self.events.view(dtype)


class FakeCamera:
    """script: what each getNextEventBatch gives: a list of times, None, or an exception.

    When the script is over the camera is unplugged.
    """

    def __init__(self, script, size=(64, 48)):
        self.script, self.size = list(script), size

    def getCameraName(self):  # noqa: N802
        return "DVXplorer_FAKE1"

    def getEventResolution(self):  # noqa: N802
        return self.size

    def isRunning(self, stream):  # noqa: N802
        assert stream == "events"
        return bool(self.script)

    def getNextEventBatch(self):  # noqa: N802
        if not self.script:
            return None
        now = self.script.pop(0)
        if isinstance(now, Exception):
            raise now
        if now is None:
            return None
        t = np.array(now, np.int64)
        return Batch(events_from_arrays(t, t % 64, t % 48, t % 2))
