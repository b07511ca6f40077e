"""Data sets of spoken words, in their official layouts: read, trained on, shipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.train import train_app  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.models.keyword.data import (  # noqa: E402
    background,
    fsdd,
    speech_commands,
    spike_file,
    split_fsdd,
)
from edgesnn.models.keyword.material import Sounds  # noqa: E402
from edgesnn.models.keyword.net import LABELS, UNKNOWN  # noqa: E402
from edgesnn.models.keyword.recipe import Recipe, Stage  # noqa: E402
from edgesnn.models.keyword.ship import bundled, integer_evidence  # noqa: E402
from edgesnn.models.keyword.train import accuracy, network_from, train  # noqa: E402
from edgesnn.models.keyword.training import sounds, train_keyword  # noqa: E402
from edgesnn.senses.hearing import HearingSpec  # noqa: E402

SMALL = Recipe(batch=8, noises=2, shape={"hidden": 8, "span": 4}).lasting(2)


def word(seed: int, seconds: float = 0.3, rate: int = 8000) -> np.ndarray:
    """A vowel of two formants, whose pitch depends on the seed."""
    t = np.arange(int(seconds * rate)) / rate
    low = 300 + 60 * seed
    return 0.3 * np.sin(2 * np.pi * low * t) + 0.2 * np.sin(2 * np.pi * 3.1 * low * t)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of FSDD: two speakers, takes 0 (withheld), 5 (test) and 10 (training)."""
    folder = tmp_path_factory.mktemp("fsdd")
    (folder / "recordings").mkdir()
    for digit in range(3):
        for who in ("ada", "ben"):
            for take in (0, 5, 10):
                name = f"{digit}_{who}_{take}.wav"
                soundfile.write(folder / "recordings" / name, word(digit), 8000)
    return folder


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of Google Speech Commands: 16 kHz, a testing list, background noise."""
    folder = tmp_path_factory.mktemp("commands")
    for number, name in enumerate(("one", "two", "tree")):
        (folder / name).mkdir()
        for who in ("0a7c2a8d", "1b2c3d4e"):
            soundfile.write(folder / name / f"{who}_nohash_0.wav", word(number, 0.3, 16000), 16000)
    (folder / "_background_noise_").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.05, 32000)
    soundfile.write(folder / "_background_noise_" / "pink.wav", noise, 16000)
    (folder / "testing_list.txt").write_text(
        "one/1b2c3d4e_nohash_0.wav\ntwo/1b2c3d4e_nohash_0.wav\n"
    )
    return folder


def heidelberg(path: Path, labels: list[int], units: list[list[int]]) -> None:
    """The layout of SHD and SSC."""
    with h5py.File(path, "w") as file:
        group = file.create_group("spikes")
        kind = h5py.special_dtype(vlen=np.dtype("float16"))
        times = group.create_dataset("times", (len(labels),), dtype=kind)
        numbers = group.create_dataset(
            "units", (len(labels),), dtype=h5py.special_dtype(vlen=np.dtype("int64"))
        )
        for i, fired in enumerate(units):
            times[i] = np.arange(len(fired)) * 0.01
            numbers[i] = np.array(fired)
        file.create_dataset("labels", data=np.array(labels))


def test_takes_are_split_and_the_official_test_is_left_out(digits: Path) -> None:
    words = fsdd(digits, 8000)
    trained, tested = split_fsdd(words)
    assert len(words) == 18 and {w.index for w in trained} == {10}
    assert {w.index for w in tested} == {5} and {w.speaker for w in tested} == {"ada", "ben"}
    assert [w.label for w in tested] == [0, 0, 1, 1, 2, 2]


def test_a_speaker_can_be_held_out(digits: Path) -> None:
    material = sounds(digits, None, None, held_out="ben")
    ((name, batches, classes),) = material.checks()
    assert name == "FSDD, ben" and classes == UNKNOWN
    assert sum(len(labels) for _, _, labels in batches) == 9
    assert sum(len(labels) for _, _, labels in material.sample()) == 3


def test_speech_commands_are_digits_and_unknown_words(commands: Path) -> None:
    words = speech_commands(commands, 8000)
    assert [(LABELS[w.label], w.speaker) for w in words if w.label != UNKNOWN] == [
        ("one", "0a7c2a8d"),
        ("one", "1b2c3d4e"),
        ("two", "0a7c2a8d"),
        ("two", "1b2c3d4e"),
    ]
    assert sum(w.label == UNKNOWN for w in words) == 2
    assert all(len(w.sound) == 2400 for w in words)  # 0.3 s, at the rate of the hearing
    tested = speech_commands(commands, 8000, test=True)
    assert [w.speaker for w in tested] == ["1b2c3d4e"] * 2
    assert len(speech_commands(commands, 8000, test=False)) == 4
    assert len(background(commands / "_background_noise_", 8000)[0]) == 16000


def test_spikes_of_heidelberg_are_binned(tmp_path: Path) -> None:
    path = tmp_path / "shd_train.h5"
    heidelberg(path, [3, 0], [[0, 4, 699], [350]])
    first, second = spike_file(path, classes=20)
    assert (first.label, second.label) == (3, 0)
    assert first.counts.shape == (3, 2, 140)
    assert np.argwhere(first.counts).tolist() == [[0, 1, 0], [1, 1, 0], [2, 1, 139]]
    assert np.argwhere(second.counts).tolist() == [[0, 1, 70]]


@pytest.mark.parametrize(
    ("labels", "units", "match"),
    [([20], [[1]], "labels are not from 0 to 19"), ([1], [[700]], "units are not from 0 to 699")],
)
def test_numbers_outside_are_named(
    tmp_path: Path, labels: list[int], units: list[list[int]], match: str
) -> None:
    heidelberg(tmp_path / "a.h5", labels, units)
    with pytest.raises(InputError, match=match):
        spike_file(tmp_path / "a.h5", classes=20)


def test_what_is_no_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"not HDF5")
    with pytest.raises(InputError, match="no SHD or SSC file"):
        spike_file(tmp_path / "a.h5", classes=20)
    for read, match in (
        (fsdd, "D_SPEAKER_I.wav"),
        (speech_commands, "WORD"),
        (background, r"no \.wav"),
    ):
        with pytest.raises(InputError, match=match):
            read(tmp_path, 8000)


@pytest.mark.parametrize("last", [1, 4])
def test_training_goes_on_where_it_was_stopped(digits: Path, tmp_path: Path, last: int) -> None:
    """One epoch and then the others give the network of five epochs at once."""
    recipe = Recipe(batch=8, noises=2, shape=SMALL.shape).lasting(5)
    assert [stage.epochs for stage in recipe.stages] == [4, 1]
    whole = train(tmp_path / "a", sounds(digits, None, None), recipe)

    class Stopped(Exception):
        pass

    material = sounds(digits, None, None)

    class Once(Sounds):
        def epoch(self, stage: Stage, recipe: Recipe, rng: np.random.Generator) -> list:
            if self.seen == last:
                raise Stopped
            self.seen += 1
            return super().epoch(stage, recipe, rng)

    material.__class__, material.seen = Once, 0
    with pytest.raises(Stopped):
        train(tmp_path / "b", material, recipe, save_every=1)
    assert torch.load(tmp_path / "b" / "last.pt", weights_only=True)["epochs"] == last
    parts = train(tmp_path / "b", sounds(digits, None, None), recipe, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def folders(kind: str, tmp_path: Path, digits: Path, commands: Path) -> Path:
    if kind == "fsdd":
        return digits
    if kind == "commands":
        return commands
    for part in ("train", "test"):
        heidelberg(tmp_path / f"shd_{part}.h5", [0, 7, 19], [[5, 80, 600], [350, 351], [9] * 12])
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "data", "n"),
    [
        ("fsdd", "FSDD, takes 5 to 9", 6),
        ("commands", "Speech Commands, testing list", 2),
        ("shd", "shd test", 3),
    ],
)
def test_each_data_set_is_trained_on_and_shipped(
    kind: str,
    data: str,
    n: int,
    digits: Path,
    commands: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Everything `edgesnn train keyword` does; the integers that are measured are the network's."""
    folder = folders(kind, tmp_path, digits, commands)
    monkeypatch.setattr("edgesnn.models.keyword.training.Recipe", lambda: SMALL)
    out = tmp_path / "out"
    train_app("keyword", out, data=folder, epochs=2)
    assert f"{data}: " in capsys.readouterr().out
    bundle = load_bundle(out / "keyword.json")
    (row,) = bundle.card["accuracy"]
    assert (row["data"], row["n"]) == (data, n)
    curve = bundle.card["training_curve"]
    assert [point["epoch"] for point in curve] == [1, 2]
    assert curve[-1][data] == row["accuracy"]
    trained = network_from(out / "last.pt")
    _, material = train_keyword(out, data=folder, epochs=2, recipe=SMALL, resume=True)
    ((_, batches, classes),) = material.checks()
    assert row["accuracy"] == pytest.approx(accuracy(trained.net, batches, classes), abs=1e-4)
    evidence, labels = integer_evidence(bundle, batches)
    assert len(labels) == n
    x, lengths, _ = batches[0]
    with torch.no_grad():
        scores = trained.net(x).cumsum(0)[lengths - 1, torch.arange(len(lengths))]
    assert np.array_equal(evidence[: len(lengths)], scores.numpy())


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"net": {}}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="not a checkpoint of the keyword network"):
        bundled(tmp_path / "last.pt", tmp_path, scale=1.0, card={})
    with pytest.raises(InputError, match="there is no checkpoint"):
        network_from(tmp_path / "none.pt")


def test_too_few_words_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "1_ada_5.wav", word(1), 8000)
    with pytest.raises(InputError, match="too few digits"):
        sounds(tmp_path, None, None)


def test_words_of_the_real_data_set(shared_data: Callable[[str], Path]) -> None:
    words = fsdd(shared_data("fsdd"), HearingSpec().rate_hz)
    assert len({w.speaker for w in words}) == 6 and len({w.label for w in words}) == 10
