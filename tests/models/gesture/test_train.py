import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgesnn.errors import InputError  # noqa: E402
from edgesnn.models.gesture.data import Clip  # noqa: E402
from edgesnn.models.gesture.train import (  # noqa: E402
    DECAY_SHIFT,
    Recipe,
    accuracy,
    evidence,
    network_from,
    train,
    with_variants,
)
from edgesnn.models.gesture.training import train_gesture  # noqa: E402


def moving_dot(label):
    """A dot that goes round one way (class 3) or the other (class 4), 0.5 s."""
    t = np.arange(0, 500_000, 100)
    angle = 2 * np.pi * t / 400_000 * (1 if label == 3 else -1)
    x, y = 64 + 30 * np.cos(angle), 64 + 30 * np.sin(angle)
    return Clip(t, x.astype(np.float32), y.astype(np.float32), t // 100 % 2, label)


def test_evidence_is_the_leaky_sum_written_out():
    scores = torch.tensor([64.0, 0.0, 32.0]).view(3, 1, 1)
    keep = 1 - 2.0**-DECAY_SHIFT
    wanted = [64.0, 64 * keep, 64 * keep**2 + 32]
    assert evidence(scores).flatten().tolist() == pytest.approx(wanted)


def test_training_learns_goes_on_where_it_was_cut_off_and_is_reproducible(tmp_path):
    clips = [moving_dot(3), moving_dot(4)]
    recipe = Recipe(updates=4, batch=2, steps=8, share=1.0, check=2)
    whole = train(tmp_path / "a", None, clips, {"same": clips}, recipe)
    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [2, 4]
    assert all(0 <= line["same"] <= 1 for line in lines)
    again = train(tmp_path / "b", None, clips, {}, recipe)
    for first, second in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)
    saved = network_from(tmp_path / "a" / "last.pt")
    assert accuracy(saved, clips, 20) == accuracy(whole, clips, 20)
    resumed = train(tmp_path / "a", None, clips, {}, recipe, resume=True)
    assert torch.equal(next(resumed.parameters()), next(whole.parameters()))
    longer = replace(recipe, updates=5)
    with pytest.raises(InputError, match=r"other settings \(updates 4, now 5\)"):
        train(tmp_path / "a", None, clips, {}, longer, resume=True)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    clips = [moving_dot(3)]
    recipe = Recipe(updates=1, batch=1, steps=4, share=1.0)
    torch.save({"net": {"weight": torch.ones(3)}, "shape": {}, "updates": 1}, tmp_path / "last.pt")
    for how in ({"start": tmp_path / "last.pt"}, {"resume": True}):
        with pytest.raises(InputError, match="last.pt is not a checkpoint of the gesture network"):
            train(tmp_path, None, clips, {}, recipe, **how)


def test_variants_are_the_mirror_image_the_reversal_and_both():
    assert [c.label for c in with_variants([moving_dot(3)])] == [3, 6, 4, 5]


def test_nothing_to_train_on_is_said(tmp_path):
    with pytest.raises(InputError, match="nothing to train on"):
        train_gesture(tmp_path)
    with pytest.raises(InputError, match="no shard_"):
        train_gesture(tmp_path, clips=tmp_path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        network_from(tmp_path / "none.pt")
    torch.save({"something": 1}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        network_from(tmp_path / "other.pt")
