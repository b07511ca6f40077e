"""The shipped networks of words and digits: the same bits however they are run."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from contract_backends import EVERY_BACKEND

from edgesnn.app import load_app, sample_path
from edgesnn.apps.digits.trials import inputs_of_trial, trials_of
from edgesnn.apps.keyword.words import evaluate_keyword, inputs_of
from edgesnn.backend import backend, verify
from edgesnn.bundle import Bundle, load_bundle
from edgesnn.decide.decision import NOTHING
from edgesnn.decide.exit_rule import EXACT, NEVER
from edgesnn.decide.readouts import open_readout
from edgesnn.events import Packet
from edgesnn.hardware.reference import run_sequence, trace
from edgesnn.measure.evaluate import slice_recording
from edgesnn.program import Fire, State, Tensor, initial_state
from edgesnn.senses.encoder import Encoder
from edgesnn.senses.hearing import Hearing
from edgesnn.sources.image import open_images
from edgesnn.sources.reading import read_events
from edgesnn.sources.sound_file import read_sound
from edgesnn.stream.slicer import slicer_for

TRIALS = ["mnist", "fashion", "nmnist"]
SPOKEN = [3, 1, 4, 1, 5, 9, 2, 6]
"""What the bundled recording says."""


def sample_steps(bundle: Bundle) -> np.ndarray:
    """Inputs of the app's sample: sound, or pictures as the network takes them."""
    if bundle.hearing is not None:
        sound = read_sound(sample_path(load_app("keyword")), bundle.hearing.rate_hz)
        return np.stack([x.copy() for x, _, _ in inputs_of(bundle, sound)])
    shape = bundle.program.input_shape
    if bundle.latency is None:
        events, size = read_events(sample_path(load_app("digits"), bundle.program.name))
        encoder = Encoder(bundle.encoder, shape, size)
        steps = slice_recording(events, bundle.program)
        return np.stack([encoder.encode(step.events).copy() for step in steps])
    source = open_images(
        sample_path(load_app("digits"), bundle.program.name),
        bundle.latency,
        step_us=bundle.program.step_us,
        speed=math.inf,
    )
    slicer, found = slicer_for(bundle.program), []
    encoder = Encoder(bundle.encoder, shape, source.size)
    while (packet := source.read()) is not None:
        found += [encoder.encode(s.events).copy() for s in slicer.feed(packet)]
    return np.stack(found[:700])


@pytest.fixture(scope="module", params=["keyword", *TRIALS])
def shipped(request: pytest.FixtureRequest) -> tuple[Bundle, np.ndarray]:
    bundle = load_bundle(request.param)
    return bundle, sample_steps(bundle)


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_the_parity_vector_is_reproduced(shipped: tuple[Bundle, np.ndarray], name: str) -> None:
    verify(shipped[0], backend(name).load(shipped[0]))


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_streamed_is_the_whole_sequence(shipped: tuple[Bundle, np.ndarray], name: str) -> None:
    """And keeping, running on and restoring the state in the middle changes nothing."""
    bundle, xs = shipped
    window = getattr(bundle.readout, "steps", len(xs))  # a trial begins from the initial state
    parts = [xs[first : first + window] for first in range(0, len(xs), window)]
    whole = np.concatenate([run_sequence(bundle.program, part) for part in parts])
    assert len(np.unique(whole)) > 5
    stream = backend(name).load(bundle).stream()
    for t, x in enumerate(xs):
        if t % window == 0:
            stream.reset()
        if t % 50 == 20:
            kept = stream.snapshot()
            for later in xs[t : t + 3]:
                stream.step(later)
            stream.reset()
            stream.restore(kept)
        assert np.array_equal(stream.step(x), whole[t]), f"{name}, step {t}"


@pytest.mark.parametrize("name", TRIALS)
def test_no_neuron_fires_twice_in_a_trial(name: str) -> None:
    bundle = load_bundle(name)
    program, xs = bundle.program, sample_steps(bundle)
    nodes = [node.name for node in program.nodes if isinstance(node, Fire)]
    assert len(nodes) == 4
    window, fired = bundle.readout.steps, 0
    for first in range(0, min(len(xs), 12 * window), window):
        state: State = initial_state(program)
        spikes: dict[str, Tensor] = {node: np.zeros(program.values[node].shape) for node in nodes}
        for x in xs[first : first + window]:
            outputs, state = trace(program, x, state)
            for node in nodes:
                spikes[node] += outputs[node]
        assert max(int(count.max()) for count in spikes.values()) <= 1
        fired += sum(int(count.sum()) for count in spikes.values())
    assert fired > 1000


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_the_bundled_words_are_spotted_each_once_and_in_order(name: str) -> None:
    bundle = load_bundle("keyword")
    stream, readout = backend(name).load(bundle).stream(), open_readout(bundle.readout, None)
    sound = read_sound(sample_path(load_app("keyword")), bundle.hearing.rate_hz)
    told, end_us = [], 0
    for x, events, end_us in inputs_of(bundle, sound):
        if readout.turn(events) == "reset":
            stream.reset()
        told.append(readout.update(stream.step(x), events, end_us))
    told.append(readout.finish(end_us))
    words = [d for d in told if d is not None and d.index != NOTHING]
    assert [d.index for d in words] == SPOKEN
    assert all(d.confidence > 0.6 for d in words)


def test_real_recordings_are_answered_alike_by_every_exit(
    shared_data: Callable[[str], Path],
) -> None:
    """N-MNIST: the exact exit gives the answer of the whole window, on real events."""
    bundle = load_bundle("nmnist")
    stream = backend("onnx_cpu").load(bundle).stream()
    trials = list(islice(trials_of(bundle, shared_data("nmnist-small")), 0, 400, 20))
    sooner = 0
    for trial in trials:
        answers = []
        for rule in (EXACT, NEVER):
            readout = open_readout(bundle.readout, rule)
            stream.reset()
            for step, x in enumerate(inputs_of_trial(bundle, trial), start=1):
                readout.turn(bundle.readout.start_events if step == 1 else 0)
                decision = readout.update(stream.step(x), 1, step * bundle.program.step_us)
                if decision is not None and decision.index >= 0:
                    break
            answers.append(decision)
        assert answers[0].index == answers[1].index
        sooner += answers[0].exit_step < answers[1].exit_step
    assert sooner > len(trials) // 2


def test_words_that_training_never_saw(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Sixty of the test recordings of FSDD, whole stream: the floor is 97 % of all 300."""
    bundle = load_bundle("keyword")
    for path in sorted((shared_data("fsdd") / "recordings").glob("*_7.wav")):
        (tmp_path / path.name).symlink_to(path)
    report = evaluate_keyword(bundle, backend("onnx_cpu").load(bundle), tmp_path)
    assert report["n"] == 60 and report["accuracy"] >= 0.93
    assert report["spotted"] >= 0.85


def test_a_packet_cut_anywhere_gives_the_same_steps() -> None:
    """Hearing, slicer and encoder in blocks of any size: the inputs of the whole sound."""
    bundle = load_bundle("keyword")
    sound = read_sound(sample_path(load_app("keyword")), bundle.hearing.rate_hz)[:12_000]
    wanted = {end_us: x for x, _, end_us in inputs_of(bundle, sound)}
    rng, hearing = np.random.default_rng(3), Hearing(bundle.hearing)
    slicer = slicer_for(bundle.program)
    encoder = Encoder(bundle.encoder, bundle.program.input_shape, bundle.hearing.size)
    found, first = {}, 0
    while first < len(sound):
        last = first + int(rng.integers(1, 500))
        events = hearing.feed(sound[first:last])
        for step in slicer.feed(Packet(events, hearing.watermark_us, 0)):
            found[step.end_us] = encoder.encode(step.events)
        first = last
    assert len(wanted) > 100 and set(wanted) - set(found) <= {max(wanted)}
    for end_us, x in found.items():
        assert np.array_equal(x, wanted.get(end_us, np.zeros_like(x))), end_us
