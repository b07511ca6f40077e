"""Pictures become trials: the latency code, idx files, preparation, and what is no picture."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_sources import joined, packets_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from written import idx

from edgesnn.app import load_app, sample_path
from edgesnn.errors import BundleError, InputError
from edgesnn.senses.latency import LatencySpec, latency_events
from edgesnn.sources.idx import read_idx, read_images
from edgesnn.sources.image import Frames, open_images, prepared, read_pictures

cv2 = pytest.importorskip("cv2")
SPEC = LatencySpec(steps=6, dark=False)
OBJECT = LatencySpec(steps=6, dark=True, subject="object")
SAMPLE = sample_path(load_app("digits"))


def digit() -> np.ndarray:
    """The first image of the sample: a zero."""
    return read_idx(SAMPLE, 3)[0]


def test_the_latency_code_by_hand() -> None:
    """T = 6: 255 fires at once, 213 still in step 0, 212 in step 1, 1 in step 5, 0 never."""
    image = np.array([[255, 213, 212, 128, 1, 0]], np.uint8)
    events = latency_events(image, SPEC, start_us=1000, step_us=10)
    assert events["x"].tolist() == [0, 1, 2, 3, 4] and set(events["p"]) == {1}
    assert events["t"].tolist() == [1000, 1000, 1010, 1020, 1050]
    both = latency_events(image, LatencySpec(6, dark=True), start_us=0, step_us=10)
    dark = both[both["p"] == 0]
    assert dict(zip(dark["x"].tolist(), dark["t"].tolist(), strict=True)) == {
        5: 0,
        4: 0,
        3: 30,
        2: 40,
        1: 50,
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_training_uses_the_same_code(seed: int, steps: int, dark: bool) -> None:
    torch = pytest.importorskip("torch")
    from edgesnn.models.digits.data import latency_spikes

    image = np.random.default_rng(seed).integers(0, 256, (9, 9)).astype(np.uint8)
    events = latency_events(image, LatencySpec(steps, dark), start_us=0, step_us=1)
    found = np.zeros((steps, 2, 9, 9))
    found[events["t"], events["p"], events["y"], events["x"]] = 1
    wanted = latency_spikes(torch.from_numpy(image)[None], steps, dark=dark)[:, 0]
    assert np.array_equal(found, wanted.numpy())
    assert (np.diff(events["t"]) >= 0).all()


def test_numbers_that_describe_no_code_are_refused() -> None:
    for wrong in ({"steps": 0}, {"size": 0}, {"subject": "cat"}):
        with pytest.raises(BundleError, match="describe no latency code"):
            LatencySpec(**{"steps": 3, "dark": False, **wrong})  # type: ignore[arg-type]


def test_idx_files_are_read_packed_or_not(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(array))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([7, 3]))))
    images, labels = read_images(tmp_path, "t10k")
    assert np.array_equal(images, array) and labels.tolist() == [7, 3]
    with pytest.raises(InputError, match="has no train-images-idx3-ubyte"):
        read_images(tmp_path, "train")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([7]))))
    with pytest.raises(InputError, match="2 t10k images but 1 labels"):
        read_images(tmp_path, "t10k")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no idx file of bytes"),
        (b"\x00\x00\x0d\x03" + bytes(20), "no idx file of bytes: it starts with 00 00 0d 03"),
        (idx(np.zeros((2, 2))), "holds an array with 2 axes, wanted 3"),
        (idx(np.zeros((2, 2, 2)))[:-1], "holds 7 bytes behind its header, wanted 8"),
        (idx(np.zeros((2, 2, 2)))[:9], "ends inside its header"),
        (gzip.compress(idx(np.zeros((2, 2, 2))))[:-9], "cannot be read"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, data: bytes, match: str) -> None:
    path = tmp_path / "a-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"a-idx3-ubyte.*{match}"):
        read_idx(path, 3)


def test_an_image_that_has_the_form_passes_unchanged(tmp_path: Path) -> None:
    assert prepared(digit(), SPEC) is not None
    cv2.imwrite(str(tmp_path / "0.png"), digit())
    (found,) = read_pictures(tmp_path / "0.png", SPEC)
    assert np.array_equal(found, digit())


def test_dark_ink_on_paper_becomes_the_same_digit(tmp_path: Path) -> None:
    """The digit, four times as large, dark on light, in a corner of a colour photograph."""
    large = cv2.resize(digit(), (112, 112), interpolation=cv2.INTER_CUBIC)
    paper = np.full((200, 300), 230, np.uint8)
    paper[20:132, 150:262] -= (large.astype(float) * 0.75).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), cv2.cvtColor(paper, cv2.COLOR_GRAY2BGR))
    (found,) = read_pictures(tmp_path / "photo.jpg", SPEC)
    assert found.shape == (28, 28) and found.dtype == np.uint8
    overlap = np.corrcoef(found.ravel().astype(float), digit().ravel().astype(float))[0, 1]
    assert overlap > 0.85


def test_objects_are_only_fitted_in() -> None:
    scene = np.zeros((50, 100), np.uint8)
    scene[10:40, 5:95] = 200
    found = prepared(scene, OBJECT)
    assert found is not None and found[:7].max() == 0 and found[12:16].min(initial=255) >= 0
    assert found[14, 14] == 255 and found[21:].max() == 0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_brightness_is_nothing_to_see(tmp_path: Path, value: int) -> None:
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 40), value, np.uint8))
    with pytest.raises(InputError, match="flat.png is all of one brightness"):
        read_pictures(tmp_path / "flat.png", SPEC)


@pytest.mark.parametrize("paper", [0, 255])
def test_specks_far_apart_are_nothing_to_see(tmp_path: Path, paper: int) -> None:
    picture = np.full((4000, 4000), paper, np.uint8)
    picture[5, 5] = picture[3990, 3990] = 255 - paper
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "dots.png"), picture)
    with pytest.raises(InputError, match="there is nothing to see in it"):
        read_pictures(tmp_path / "dots.png", SPEC)


@pytest.mark.parametrize("kind", ["int16", "int32", "float32"])
def test_numbers_of_other_kinds_are_seen_as_they_are(tmp_path: Path, kind: str) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = np.zeros((40, 40), np.uint8)
    picture[10:30, 18:23] = np.linspace(60, 250, 20, dtype=np.uint8)[:, None]
    cv2.imwrite(str(tmp_path / "a.bmp"), picture)
    cv2.imwrite(str(tmp_path / "a.tiff"), picture.astype(kind))
    ours, other = (read_pictures(tmp_path / f"a.{end}", SPEC) for end in ("bmp", "tiff"))
    assert np.array_equal(ours, other)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "c.png"), np.eye(4, dtype=np.uint8) * 255)
    for name, match in (("a", "is not a picture"), ("b", "is not a picture"), ("c", "is 4 x 4")):
        with pytest.raises(InputError, match=f"{name}.png {match}"):
            read_pictures(tmp_path / f"{name}.png", SPEC)
    with pytest.raises(InputError, match="there is no file"):
        read_pictures(tmp_path / "gone.png", SPEC)


def test_the_sample_plays_trial_by_trial() -> None:
    packets = packets_of(open_images(SAMPLE, SPEC, step_us=5000, speed=math.inf))
    assert len(packets) == 20
    starts = [int(p.events["t"][0]) for p in packets]
    assert starts == [500_000 * i for i in range(20)]
    assert packets[-1].watermark_us == starts[-1] + 30_000
    images = read_idx(SAMPLE, 3)
    assert len(joined(packets)) == int((images > 0).sum())


def test_frames_of_a_camera_become_trials_one_after_another() -> None:
    frames = Frames(SPEC, 5000)
    scene = np.zeros((128, 128), np.uint8)
    scene[40:90, 60:70] = 250
    events, told_us = frames.frame(scene, 1001)
    assert events["t"][0] == 5000 and told_us == 35_000
    assert not len(frames.frame(scene, 39_000)[0])
    events, told_us = frames.frame(scene, 40_000)
    assert events["t"][0] == 40_000 and told_us == 70_000
    assert not len(frames.frame(np.zeros((128, 128), np.uint8), 80_000)[0])


def figure() -> NDArray[np.uint8]:
    """A bright L on black: no turn of it looks like it."""
    picture = np.zeros((60, 40), np.uint8)
    picture[8:52, 10:16] = picture[46:52, 10:32] = 255
    return picture


def read_back(path: Path, picture: NDArray[Any]) -> NDArray[np.uint8]:
    assert cv2.imwrite(str(path), picture)
    return read_pictures(path, SPEC)[0]


def test_a_jpeg_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    upright = read_back(tmp_path / "a.jpg", figure())
    turned = tmp_path / "b.jpg"
    cv2.imwrite(str(turned), np.rot90(figure()))  # counter-clockwise; 6: show it clockwise
    data = turned.read_bytes()
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    head = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned.write_bytes(data[:2] + head + data[2:])
    (found,) = read_pictures(turned, SPEC)
    assert np.abs(found.astype(int) - upright).max() < 40


def test_a_jpeg_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), figure())
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(InputError, match="65,535 x 65,535 pixels"):
        read_pictures(path, SPEC)


def test_white_ink_on_transparency_is_seen(tmp_path: Path) -> None:
    ink = np.dstack([np.full_like(figure(), 255)] * 3 + [figure()])
    assert (read_back(tmp_path / "a.png", ink) == read_back(tmp_path / "b.png", figure())).all()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_fewer_than_16_bits_in_16_are_seen(tmp_path: Path, bits: int) -> None:
    wide = (figure().astype(np.uint16) * 257) >> (16 - bits)
    assert (read_back(tmp_path / "a.png", wide) == read_back(tmp_path / "b.png", figure())).all()
