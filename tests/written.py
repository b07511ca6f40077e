"""Files that several tests write: idx arrays, the official layout of DVS128 Gesture, a video."""

from __future__ import annotations

import struct

import numpy as np
import pytest


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def polarity_packet(t, x, y, p, valid, overflow=0):
    header = struct.pack("<hhiiiiii", 1, 0, 8, 4, overflow, len(t), len(t), sum(valid))
    body = b"".join(
        struct.pack("<Ii", (xi << 17) | (yi << 2) | (pi << 1) | vi, ti)
        for ti, xi, yi, pi, vi in zip(t, x, y, p, valid, strict=True)
    )
    return header + body


def aedat31(*packets):
    head = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    return head + b"".join(packets)


def write_set(folder):
    first = polarity_packet(
        [1000, 1500, 2500, 9000], [5, 127, 64, 3], [7, 0, 127, 4], [1, 0, 1, 1], [1, 1, 1, 1]
    )
    special = struct.pack("<hhiiiiii", 0, 0, 8, 4, 0, 1, 1, 1) + struct.pack("<Ii", 1, 1700)
    (folder / "user01_led.aedat").write_bytes(aedat31(first, special))
    (folder / "user01_led_labels.csv").write_text(
        "class,startTime_usec,endTime_usec\n1,900,2000\n11,2000,9500\n"
    )
    (folder / "user24_led.aedat").write_bytes(
        aedat31(polarity_packet([10, 20], [1, 2], [3, 4], [0, 1], [1, 0], overflow=1))
    )
    (folder / "user24_led_labels.csv").write_text(
        f"class,startTime_usec,endTime_usec\n4,{2**31},{2**31 + 100}\n"
    )
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\n")
    (folder / "trials_to_test.txt").write_text("user24_led.aedat\n\n")


def write_video(path):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50, (80, 60))
    assert writer.isOpened()
    for i in range(12):
        picture = np.full((60, 80, 3), 60, np.uint8)
        picture[20:40, 20 + 2 * i : 40 + 2 * i] = 220
        writer.write(picture)
    writer.release()
