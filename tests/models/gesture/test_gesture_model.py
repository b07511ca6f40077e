"""The shipped network: exact on every backend, right on real recordings."""

import numpy as np
import pytest
from contract_backends import BUILT, EVERY_BACKEND

from edgesnn.app import load_app, sample_path
from edgesnn.backend import backend, verify
from edgesnn.bundle import load_bundle
from edgesnn.hardware.reference import run_sequence
from edgesnn.measure.evaluate import evaluate, slice_recording
from edgesnn.models.gesture.data import LABELS, clip_from_events, frames
from edgesnn.senses.encoder import Encoder
from edgesnn.sources.reading import read_events


@pytest.fixture(scope="module")
def bundle():
    return load_bundle("gesture")


@pytest.fixture(scope="module")
def sample():
    """The bundled recording as events, size and encoded steps (58, 2, 32, 32)."""
    events, size = read_events(sample_path(load_app("gesture")))
    shipped = load_bundle("gesture")
    encoder = Encoder(shipped.encoder, shipped.program.input_shape, size)
    steps = slice_recording(events, shipped.program)
    return events, np.stack([encoder.encode(step.events).copy() for step in steps])


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_the_parity_vector_is_reproduced(bundle, name):
    verify(bundle, backend(name).load(bundle))


def test_a_thousand_steps_agree_streamed_whole_and_on_every_backend(bundle, sample):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 8, (480, 2, 32, 32)) * (rng.random((480, 2, 32, 32)) < 0.25)
    full = np.full((4, 2, 32, 32), bundle.program.input_high)
    real = np.concatenate([sample[1]] * 9)
    xs = np.concatenate([real, noise, full]).astype(np.uint8)
    assert len(xs) >= 1000
    whole = run_sequence(bundle.program, xs)
    assert len(np.unique(whole)) > 1000
    for name in BUILT:
        stream = backend(name).load(bundle).stream()
        for t, x in enumerate(xs):
            assert np.array_equal(stream.step(x), whole[t]), f"{name}, step {t}"


def test_training_and_running_see_the_same_levels(sample):
    events, encoded = sample
    assert np.array_equal(frames(clip_from_events(events, 2), len(encoded)), encoded)


def test_the_bundled_recording_is_recognised_within_its_145_s(bundle, tmp_path):
    path = sample_path(load_app("gesture"))
    (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "labels.csv").write_text(f"file,label,name\n{path.name},2,left hand wave\n")
    (row,) = evaluate(bundle, backend("onnx_cpu").load(bundle), tmp_path)["per_file"]
    assert row["predicted"] == 2
    assert row["decided_at_us"] <= 1_450_000


@pytest.mark.parametrize("carry_state", [False, True])
def test_real_clips_that_were_never_trained_on(bundle, shared_data, carry_state):
    folder = shared_data("dvs-gesture")
    report = evaluate(bundle, backend("onnx_cpu").load(bundle), folder, carry_state=carry_state)
    assert report["accuracy"] == 1.0


def test_labels_and_size_are_what_the_card_says(bundle):
    assert bundle.readout.labels == LABELS
    weights = [t.size for n, t in bundle.program.tensors.items() if n.startswith("w_")]
    assert sum(weights) == bundle.card["distinct_weights"] < 60_000
    assert bundle.card["macs_per_step"] < 20_000_000
    assert 5_000 <= bundle.program.step_us <= 25_000
    for row in bundle.card["accuracy"]:
        assert abs(row["evidence_integer"] - row["evidence_float"]) <= 0.01
