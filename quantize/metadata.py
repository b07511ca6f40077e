"""What a graph says about itself, all strings, so that it can be run without edgesnn."""

from __future__ import annotations

from edgesnn import __version__
from edgesnn.bundle import AnyReadoutSpec, ReadoutSpec
from edgesnn.program import Layer, Program, state_ports, warmup_steps
from edgesnn.spotting import SpottingSpec
from edgesnn.trial import TrialSpec

MODEL_TYPE = "edgesnn-step"


def metadata_of(program: Program, readout: AnyReadoutSpec | None, license: str) -> dict[str, str]:
    """Return the metadata of an exported step.

    state_names: comma separated, in the order of the graph's inputs, empty when there is no state;
    <state>_shape, <state>_dtype, <state>_init for each. warmup_steps: after how many steps nothing
    of the initial state is left in y, "never" where no number is certain (leaky neurons, neurons
    that fire once). psn_k: longest filter of a layer with one filter (sliding PSN); max_delay:
    longest delay of a synapse, in steps. exit_policy: how the outputs become decisions
    (`readouts.py`), "none" where that is left open.
    """
    layers = [n for n in program.nodes if isinstance(n, Layer)]
    orders = [program.taps_of(n).shape for n in layers]
    own = [int(d.max()) for d in map(program.delays_of, layers) if d is not None]
    states, warmup = state_ports(program), warmup_steps(program)
    about = {
        "model_type": MODEL_TYPE,
        "version": __version__,
        "model_author": "edgesnn",
        "license": license,
        "comment": f"{program.name}: one step; feed each new_<state> back as <state>",
        "step_us": str(program.step_us),
        "input_layout": f"1,polarity,y,x uint8 levels 0..{program.input_high}",
        "labels": ",".join(readout.labels) if readout else "",
        "state_names": ",".join(states),
        "warmup_steps": "never" if warmup is None else str(warmup),
        "psn_k": str(max((k for m, k in orders if m == 1), default=1)),
        "max_delay": str(max([0, *own, *(k - 1 for m, k in orders if m > 1)])),
        "exit_policy": _exit_policy(readout),
        "quant": "weights and taps int8, activations uint8, sums int32, exact",
        "program_sha256": program.sha256,
    }
    for name, port in states.items():
        about[f"{name}_shape"] = ",".join(str(n) for n in port.shape)
        about[f"{name}_dtype"] = port.dtype
        about[f"{name}_init"] = "zeros"
    return about


def _exit_policy(readout: AnyReadoutSpec | None) -> str:
    match readout:
        case None:
            return "none"
        case ReadoutSpec():
            return (
                f"evidence += y - (evidence >> {readout.decay_shift}); "
                f"decide when softmax(evidence / {readout.scale:g}) >= {readout.enter:g}; "
                f"hold while it is >= {readout.leave:g}; quiet below {readout.quiet_events} events "
                f"in {readout.quiet_us} us"
            )
        case SpottingSpec():
            return (
                f"evidence += y from the word's beginning ({readout.voice_events} events in "
                f"{readout.window_us} us) to its end (none for {readout.hang_us} us); then argmax, "
                f"unknown when softmax(evidence / {readout.scale:g}) < {readout.enter:g}; reset"
            )
        case TrialSpec():
            return (
                f"reset; score += ({readout.last + readout.steps - 1} - t) * y for t = 0 to "
                f"{readout.steps - 1}; "
                f"argmax; final once no class can catch up, each gaining at most (next weight) * "
                f"({readout.population} - its sum of y); none begins in the {readout.rest_steps} "
                "steps after"
            )
