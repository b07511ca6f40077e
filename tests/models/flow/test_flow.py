"""Scenes whose flow is exact, moments drawn from them, and a program that is the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch  # noqa: E402

from edgesnn.decide import motion_field  # noqa: E402
from edgesnn.errors import InputError  # noqa: E402
from edgesnn.hardware.reference import run_sequence  # noqa: E402
from edgesnn.models.checkpoints import write_checkpoint  # noqa: E402
from edgesnn.models.flow.checkpoint import begin_with  # noqa: E402
from edgesnn.models.flow.convert import flow_program  # noqa: E402
from edgesnn.models.flow.data import (  # noqa: E402
    CROP,
    HIGHEST,
    Moment,
    counts_of,
    moment,
    scene,
    windows_of,
)
from edgesnn.models.flow.loss import loss_of  # noqa: E402
from edgesnn.models.flow.net import (  # noqa: E402
    AGES,
    BINS,
    REACH,
    SLOW,
    WIDE,
    WINDOWS,
    FlowNet,
    FlowShape,
    Windows,
    compressed,
    smoothed,
)
from edgesnn.models.flow.recipe import Recipe  # noqa: E402
from edgesnn.models.flow.scenes import (  # noqa: E402
    CELL,
    CENTRES,
    GRID,
    NEARER,
    SLIDE,
    TOP_SPEED,
    random_scene,
    scene_events,
)
from edgesnn.models.flow.surfaces import SENSOR, STEP_US, STEPS  # noqa: E402
from edgesnn.models.flow.textures import SIDE, outline, texture  # noqa: E402
from edgesnn.models.flow.train import train  # noqa: E402


@pytest.mark.parametrize("seed", range(4))
def test_flow_is_where_a_point_of_the_surface_goes(seed: int) -> None:
    """Over 2 ms, against the maps themselves."""
    made = random_scene(np.random.default_rng(seed))
    t, dt = 0.11, 2e-3
    for surface in (made.plane, *made.objects):
        before, after = surface.maps(np.array([t - dt / 2, t + dt / 2]))
        points = np.linalg.inv(before) @ np.c_[CENTRES[::97], np.ones(len(CENTRES[::97]))].T
        moved = after @ points
        middle = (CENTRES[::97] + (moved[:2] / moved[2]).T) / 2
        found = surface.flow(t, middle) * dt
        wanted = (moved[:2] / moved[2]).T - CENTRES[::97]
        assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max() + 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_a_scene_is_the_same_for_the_same_seed_and_within_its_limits(seed: int) -> None:
    events, flow = scene_events(np.random.default_rng(seed))
    again, same = scene_events(np.random.default_rng(seed))
    assert events.tolist() == again.tolist() and np.array_equal(flow, same)
    assert flow.shape == (STEPS, 2, GRID, GRID) and np.isfinite(flow).all()
    assert np.hypot(flow[:, 0], flow[:, 1]).max() < 1.5 * TOP_SPEED * STEP_US * 1e-6
    assert (np.diff(events["t"]) >= 0).all() and events["t"].max() <= STEPS * STEP_US + 1


def test_what_a_sliding_camera_passes_moves_along_with_the_plane() -> None:
    rng = np.random.default_rng(1)
    passed = 0
    for one in (random_scene(rng, SLIDE) for _ in range(30)):
        camera, *others = (
            surface.flow(0.1, CENTRES[[0, 2000, -1]]) for surface in (one.plane, *one.objects)
        )
        ratios = [(v * camera).sum() / np.square(camera).sum() for v in others if camera.any()]
        along = [np.allclose(v, r * camera) for v, r in zip(others, ratios, strict=False)]
        if len(along) > 1 and all(along):
            passed += 1
            assert all(NEARER[0] <= ratio <= NEARER[1] for ratio in ratios)
    assert 5 <= passed <= 18


def test_surfaces_are_standardised_and_outlines_are_shares() -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        picture = texture(rng)
        assert picture.shape == (SIDE, SIDE) and abs(picture.mean()) < 1e-3
        assert picture.std() == pytest.approx(1, abs=1e-3)
        alpha = outline(rng)
        assert 0 <= alpha.min() and 0.5 < alpha.max() <= 1.001


def test_every_event_is_counted_once() -> None:
    events, _ = scene_events(np.random.default_rng(5))
    counts = counts_of(events, STEPS, (SENSOR, SENSOR), CELL)
    assert counts.shape == (STEPS * BINS, 2, GRID, GRID)
    assert counts.max() < 255 and counts.sum() == np.count_nonzero(events["t"] <= STEPS * STEP_US)


def test_moments_turn_flow_with_the_picture() -> None:
    """Mirrored, transposed, coarser: no moment is faster than the scene it was drawn from."""
    one = scene(0, 9)
    fastest = float(np.hypot(*one.flow.astype(float).transpose(1, 0, 2, 3)).max())
    rng = np.random.default_rng(0)
    for _ in range(20):
        windows, flow, weight = moment(rng, one)
        assert windows.shape == (len(AGES), 2 * BINS * len(WINDOWS), CROP, CROP)
        assert flow.shape == (2, CROP // 2, CROP // 2)
        assert weight.shape == flow.shape[1:] and torch.isfinite(flow).all()
        assert float(flow.norm(dim=0).max()) <= fastest + 0.01


def test_split_windows_change_nothing(tmp_path: Path) -> None:
    """A stage that begins with wider windows than its own computes the same at first."""
    torch.manual_seed(0)
    wide = FlowNet(shape=FlowShape(windows=WIDE)).eval()
    state = {"net": wide.state_dict(), "updates": 1, "sizes": list(wide.sizes)}
    torch.save(state | {"windows": [list(window) for window in WIDE]}, tmp_path / "a.pt")
    narrow = FlowNet().eval()
    begin_with(narrow, tmp_path / "a.pt")
    one = scene(0, 9)
    seen = [
        torch.stack([moment(np.random.default_rng(n), one, windows)[0] for n in range(4)])
        for windows in (WIDE, WINDOWS)
    ]
    with torch.no_grad():
        answers = [net(x.float()) for net, x in zip((wide, narrow), seen, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))
    assert answers[0][-1].any()


def test_a_checkpoint_of_other_windows_is_no_beginning(tmp_path: Path) -> None:
    narrow = FlowNet()
    state = {"net": narrow.state_dict(), "updates": 1, "sizes": list(narrow.sizes)}
    torch.save(state | {"windows": [list(window) for window in WINDOWS]}, tmp_path / "last.pt")
    shape = FlowShape(windows=WIDE)
    with pytest.raises(InputError, match="windows do not hold those of this stage"):
        begin_with(FlowNet(shape=shape), tmp_path / "last.pt")
    with pytest.raises(InputError, match="is of an older recipe, or another stage"):
        train(tmp_path, Recipe(updates=2), resume=True, shape=shape)


def test_the_program_is_the_network_bit_for_bit() -> None:
    """Streamed over 30 steps: the windows of the program are those that were trained on."""
    torch.manual_seed(0)
    net = FlowNet(near=8, middle=12, far=16)
    rng = np.random.default_rng(0)
    xs = (rng.random((30, 2 * BINS, 16, 24)) < 0.2) * rng.integers(1, HIGHEST + 1, (30, 4, 16, 24))
    xs = xs.astype(np.uint8)
    counts = xs.reshape(30 * BINS, 2, 16, 24)
    seen = np.stack([windows_of(counts[: (t + 1) * BINS]) for t in range(30)])
    with torch.no_grad():
        net.train()
        for _ in range(40):  # so that thresholds are those of the data
            net(torch.from_numpy(seen).float())
        net.eval()
        wanted = net(torch.from_numpy(seen).float())[-1] / net.unit()
    found = run_sequence(flow_program(net, 16, 24), xs)
    assert found.any() and np.array_equal(found[:, :3], np.rint(wanted.numpy()))
    events = counts.reshape(30, -1, 8, 2, 12, 2).sum((1, 3, 5))
    events[1:] += events[:-1].copy()
    assert np.array_equal(found[:, 3], events)


def test_training_smooths_the_field_as_the_readout_does() -> None:
    rng = np.random.default_rng(5)
    y, seen = rng.normal(0, 2, (3, 10, 14)), rng.random((10, 14)) < 0.4
    told = motion_field.smoothed(y[:2], np.clip(y[2], -2, 4), seen, SLOW, REACH)
    trained = smoothed(torch.tensor(y)[None], torch.tensor(seen, dtype=torch.float64)[None])
    assert np.allclose(trained[0].numpy(), told)


def test_evidence_learns_where_to_look() -> None:
    flow = torch.zeros(1, 2, 4, 4) + 0.5
    y = torch.cat([compressed(flow), torch.zeros(1, 1, 4, 4)], 1)
    y[0, :2, 1, 2] = -3.0  # one place is wrong
    y.requires_grad_()
    loss_of([y], flow, torch.ones(1, 4, 4), Recipe(evidence=0.0, smooth=1.0)).backward()
    slope = y.grad[0, 2]
    assert slope[1, 2] > 0 and (slope.flatten()[[0, 3, 12, 15]] < 0).all()


def few(count: int = 0, windows: Windows = WINDOWS) -> list[Moment]:
    """What is validated on, less of it."""
    return [moment(np.random.default_rng(i), scene(1, i), windows) for i in range(2)]


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edgesnn.models.flow.train.held_out", few)
    recipe = Recipe(updates=3, batch=2, check=2)

    class Stopped(Exception):
        pass

    def stopping(out: Path, state: dict[str, Any]) -> None:
        write_checkpoint(out, state)
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("edgesnn.models.flow.train.write_checkpoint", stopping)
        train(tmp_path, recipe)
    train(tmp_path, recipe, resume=True)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ['{"update": 2', '{"update": 3']
    with pytest.raises(InputError, match=r"other settings \(updates 3, now 4\)"):
        train(tmp_path, replace(recipe, updates=4), resume=True)


def test_an_average_is_that_of_the_last_networks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edgesnn.models.flow.train.held_out", few)
    monkeypatch.setattr("edgesnn.models.flow.train.SETTLED", 1)
    recipe = Recipe(updates=4, batch=2, check=1, average=0.5, decay=0.0)
    kept = []

    def keep(out: Path, state: dict[str, Any]) -> None:
        kept.append({name: value.clone() for name, value in state["net"].items()})
        write_checkpoint(out, state)

    monkeypatch.setattr("edgesnn.models.flow.train.write_checkpoint", keep)
    train(tmp_path, recipe)
    weight = "layers.far.shared.weight"
    # The last one is the mean of the third and a fourth that is nowhere kept.
    fourth = 2 * kept[3][weight] - kept[2][weight]
    step, before = (fourth - kept[2][weight]).norm(), (kept[2][weight] - kept[1][weight]).norm()
    assert 0.3 < float(step / before) < 3
    plain = torch.load(tmp_path / "last.pt", weights_only=True)
    del plain["mean"]
    torch.save(plain, tmp_path / "last.pt")
    with pytest.raises(InputError, match="older recipe, or another stage"):
        train(tmp_path, recipe, resume=True)


def test_the_command_trains_in_stages_and_writes_a_bundle(tmp_path, monkeypatch) -> None:
    from edgesnn.bundle import load_bundle
    from edgesnn.models.flow.command import TRAINING
    from edgesnn.senses.cells import CellsSpec

    for module in ("train", "ship"):
        monkeypatch.setattr(f"edgesnn.models.flow.{module}.held_out", few)
    for module in ("train", "mean"):
        monkeypatch.setattr(f"edgesnn.models.flow.{module}.SETTLED", 2)
    given = {"start": None, "updates": 2, "seed": None, "resume": False}
    bundle = TRAINING.train(tmp_path / "out", {"licence": "x"}, given)
    assert (tmp_path / "out" / "first" / "last.pt").is_file()
    mean, *parts = (
        torch.load(tmp_path / "out" / name, weights_only=True)["net"]
        for name in ("last.pt", "fifth/last.pt", "seventh/last.pt")
    )
    weight = "layers.far.shared.weight"
    assert torch.allclose(mean[weight], (parts[0][weight] + parts[1][weight]) / 2)
    again = load_bundle(tmp_path / "out" / "flow.json")
    assert again.program == bundle.program and isinstance(again.encoder, CellsSpec)
    assert again.card["held_out_scenes"]["scenes"] == 160
    assert again.fitted((240, 180)).program.input_shape == (4, 96, 120)
