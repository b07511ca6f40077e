"""What a graph says about itself, all strings, so that it can be run without edgesnn."""

from __future__ import annotations

from edgesnn import __version__
from edgesnn.decide.readouts import AnyReadoutSpec
from edgesnn.program import Layer, Program, state_ports, warmup_steps

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
        "exit_policy": readout.policy() if readout else "none",
        "quant": "weights and taps int8, activations uint8, sums int32, exact",
        "program_sha256": program.sha256,
    }
    for name, port in states.items():
        about[f"{name}_shape"] = ",".join(str(n) for n in port.shape)
        about[f"{name}_dtype"] = port.dtype
        about[f"{name}_init"] = "zeros"
    return about
