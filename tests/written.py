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


def write_uneven_video(path, times_ms):
    """Write a Matroska file of JPEG pictures, each at its own time."""
    cv2 = pytest.importorskip("cv2")

    def element(name, data):
        return bytes.fromhex(name) + struct.pack(">Q", len(data) | 1 << 56) + data

    def number(n, size):
        return n.to_bytes(size, "big")

    head = [("4286", 1, 1), ("42F7", 1, 1), ("42F2", 4, 1), ("42F3", 8, 1)]
    kind = element("4282", b"matroska") + element("4287", number(4, 1))
    ebml = b"".join(element(name, number(n, size)) for name, n, size in head) + kind
    lasts = struct.pack(">d", float(times_ms[-1] + 100))
    info = element("2AD7B1", number(1_000_000, 4)) + element("4D80", b"x") + element("5741", b"x")
    size = element("E0", element("B0", number(128, 2)) + element("BA", number(128, 2)))
    track = [element(name, number(1, 1)) for name in ("D7", "73C5", "83")]
    tracks = element("AE", b"".join(track) + element("86", b"V_MJPEG") + size)
    clusters = b""
    for i, t in enumerate(times_ms):
        picture = np.zeros((128, 128, 3), np.uint8)
        picture[:, 5 * i : 5 * i + 20] = 255
        block = b"\x81\0\0\x80" + cv2.imencode(".jpg", picture)[1].tobytes()
        clusters += element("1F43B675", element("E7", number(t, 4)) + element("A3", block))
    body = element("1549A966", info + element("4489", lasts)) + element("1654AE6B", tracks)
    path.write_bytes(element("1A45DFA3", ebml) + element("18538067", body + clusters))
