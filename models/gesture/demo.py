"""A synthetic camera: the gesture simulator's endless scene through the DVS emulator, live."""

from __future__ import annotations

from edgesnn.senses.emulator import EmulatorParameters
from edgesnn.sources.demo import SceneCamera
from edgesnn.sources.opencv import opencv

_FRAME_NS = 4_000_000
_SENSOR = EmulatorParameters(threshold_on=0.12, threshold_off=0.12, cutoff_hz=100.0, shot_hz=0.05)


def open_demo(seed: int = 0) -> Demo:
    """Open the synthetic camera; the seed fixes the person and the order of gestures.

    Raises MissingDependency without OpenCV, which draws the scene.
    """
    opencv()
    return Demo(seed)


class Demo(SceneCamera):
    """The synthetic camera. label: class that is being performed, -1 in a pause."""

    def __init__(self, seed: int) -> None:
        from . import simulator  # draws with OpenCV, which is looked for first

        self._person = simulator.GestureScene(seed)
        super().__init__(self._person, simulator.SIZE, _SENSOR, seed, _FRAME_NS)

    @property
    def label(self) -> int:
        """What is being performed now."""
        return int(self._person.label)
