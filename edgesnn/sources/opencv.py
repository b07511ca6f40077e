"""The door to OpenCV."""

from __future__ import annotations

import os
from types import ModuleType

from edgesnn.errors import MissingDependency

MOST_PIXELS = 120_000_000
"""Of a picture that is decoded: a header may say anything."""


def opencv() -> ModuleType:
    """Import OpenCV; raises MissingDependency with what to install."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    try:
        import cv2
    except ImportError as error:
        hint = (
            "install the system's libraries: apt-get install libgl1 libglib2.0-0"
            if "shared object" in str(error)
            else "install it with: pip install opencv-python"
        )
        raise MissingDependency(f"this needs OpenCV ({error}); {hint}") from error
    # What goes wrong is told by our own sentence, not by its warnings too.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
