"""Digit networks from data set to bundle, in small: everything `edgesnn train digits` does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from written import idx  # noqa: E402

from edgesnn.bundle import load_bundle  # noqa: E402
from edgesnn.cli.train import train_app  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.events import events_from_arrays  # noqa: E402
from edgesnn.models.digits import train as train_digits_module  # noqa: E402
from edgesnn.models.digits.material import Images, Recordings  # noqa: E402
from edgesnn.models.digits.net import DigitNet  # noqa: E402
from edgesnn.models.digits.nmnist import nmnist  # noqa: E402
from edgesnn.models.digits.recipe import RECIPES, Stage  # noqa: E402
from edgesnn.models.digits.train import accuracy, network_from, planned, train  # noqa: E402
from edgesnn.models.digits.training import train_digits  # noqa: E402
from edgesnn.sources.bs2 import bs2_from_events  # noqa: E402
from edgesnn.sources.idx import read_images  # noqa: E402

SMALL = {"near": 4, "far": 4, "deep": 4, "population": 3}
KINDS = ["mnist", "fashion", "nmnist"]


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a bright bar whose row tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = rng.integers(0, 20, (count, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 7 + 2 * label, 5:23] = 200
    return images, labels


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("idx")
    for part, count in (("train", 100), ("t10k", 20)):
        pictures, labels = bars(count, len(part))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nmnist")
    lines = []
    for number in range(20):
        rng, label = np.random.default_rng(number), number % 10
        t = np.sort(rng.integers(0, 300_000, 1500))
        y = 3 + 3 * label + rng.integers(0, 2, 1500)
        events = events_from_arrays(t, rng.integers(5, 29, 1500), y, rng.integers(0, 2, 1500))
        bs2_from_events(folder / f"{number}.bs2", events)
        lines.append(f"{number} {label}\n")
    (folder / "index.txt").write_text("".join(lines))
    return folder


def short(model: str) -> dict:
    recipe = RECIPES[model]
    return replace(recipe, batch=8, shape={**recipe.shape, **SMALL})


@pytest.mark.parametrize("model", KINDS)
def test_training_ends_in_a_bundle_that_was_measured(
    model: str,
    images: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(RECIPES, model, short(model))
    data = recordings if model == "nmnist" else images
    train_app("digits", tmp_path, data=data, model=model, updates=12)
    assert "integer program, streamed" in capsys.readouterr().out
    bundle = load_bundle(tmp_path / f"{model}.json")
    card = bundle.card
    (row,) = card["accuracy"]
    assert row["n"] == (4 if model == "nmnist" else 20)
    assert card["exact_exit"]["answers_changed"] == 0
    assert card["sparsity"]["most_spikes_of_a_neuron"] <= 1
    assert len(card["margin_exit"]) == 5
    assert card["training_curve"][-1]["update"] == 12 and "held_out" in card["training_curve"][0]
    # The integers that were measured are those of the network.
    net, _ = network_from(tmp_path / "last.pt")
    recipe = short(model)
    if model == "nmnist":
        digits = Recordings(nmnist(data), recipe)
        right = accuracy(net, digits, net.shape.steps)
    else:
        pictures, labels = read_images(data, "t10k")
        tested = Images(
            torch.from_numpy(pictures.copy()), torch.from_numpy(labels.copy()).long(), recipe, 20
        )
        right = accuracy(net, tested, net.shape.steps)
    assert row["accuracy"] == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "changes", "stop"),
    [
        ("mnist", {}, 11),
        ("mnist", {"teacher": 2.0}, 11),
        ("fashion", {}, 14),  # just between its first stages
        ("fashion", {}, 18),
        ("nmnist", {}, 11),
    ],
)
def test_training_goes_on_where_it_was_stopped(
    model: str, changes: dict, stop: int, images: Path, recordings: Path, tmp_path: Path
) -> None:
    """Stopped after some of 20 updates."""
    recipe = replace(short(model), **changes)

    def made() -> Images | Recordings:
        if model == "nmnist":
            return Recordings(nmnist(recordings), recipe)
        pictures, labels = read_images(images, "train")
        return Images(
            torch.from_numpy(pictures.copy()), torch.from_numpy(labels.copy()).long(), recipe, 20
        )

    whole = train(tmp_path / "a", made(), recipe, updates=20)

    class Stopped(Exception):
        pass

    digits, drawn = made(), made().__class__.drawn
    # The teacher's training draws first.
    lessons = round(20 * recipe.teacher / recipe.epochs)
    left = iter(range(lessons + stop))

    def stopping(self: object, *rest: object) -> object:
        if next(left, None) is None:
            raise Stopped
        return drawn(self, *rest)

    digits.__class__ = type("Stopping", (digits.__class__,), {"drawn": stopping})
    with pytest.raises(Stopped):
        train(tmp_path / "b", digits, recipe, updates=20)
    log = [json.loads(text) for text in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["update"] == stop
    parts = train(tmp_path / "b", made(), recipe, updates=20, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_each_stage_has_its_own_images_and_dropout(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, seen = replace(short("fashion"), teacher=0.0), []
    pictures, labels = read_images(images, "train")
    digits = Images(
        torch.from_numpy(pictures.copy()), torch.from_numpy(labels.copy()).long(), recipe, 20
    )
    drawn, loss_of = Images.drawn, train_digits_module._loss

    def watched(self: Images, chosen: torch.Tensor, steps: int, jitter: dict) -> tuple:
        seen.append((steps, jitter["shift"], jitter["flip"]))
        return drawn(self, chosen, steps, jitter)

    def loss(net: DigitNet, *rest: object) -> torch.Tensor:
        seen[-1] = (net.dropout, *seen[-1])
        return loss_of(net, *rest)

    monkeypatch.setattr(Images, "drawn", watched)
    monkeypatch.setattr(train_digits_module, "_loss", loss)
    train(tmp_path, digits, recipe, updates=20)
    assert seen == [(0.25, 3, 1.5, True)] * 3 + [(0.25, 6, 1.5, True)] * 11 + [(0, 6, 0, True)] * 6


def test_training_learns(images: Path, tmp_path: Path) -> None:
    """Bars: chance is 10 %; the first log line is worse than the last."""
    recipe = replace(short("mnist"), stages=(Stage(phases=((3, 1.0),), rate=1e-2),))
    pictures, labels = read_images(images, "train")
    digits = Images(
        torch.from_numpy(pictures.copy()), torch.from_numpy(labels.copy()).long(), recipe, 20
    )
    net = train(tmp_path, digits, recipe, updates=150)
    assert accuracy(net, digits, 3) > 0.7


def test_phases_share_the_updates() -> None:
    first, second = Stage(phases=((2, 1), (4, 3))), Stage(phases=((4, 4),))
    recipe = replace(RECIPES["mnist"], stages=(first, second), batch=10)
    assert planned(first, recipe, 100, None) == [2] * 10 + [4] * 30
    assert planned(second, recipe, 100, 16) == [4] * 8
    assert planned(first, recipe, 100, 16) == [2] * 2 + [4] * 6


def test_wrong_words_are_named(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe for 'cifar'; there are: mnist, fashion"):
        train_digits(tmp_path, model="cifar", data=images)
    torch.save({"net": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of a digit network"):
        network_from(tmp_path / "other.pt")
