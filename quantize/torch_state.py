"""Parameters of torch modules from files, without running code that is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgesnn.errors import InputError

_INSIDE = ("state_dict", "model_state_dict", "model", "net")
"""Names under which training scripts put a state_dict into a checkpoint."""

_PARALLEL = "module."
"""What DataParallel writes before every name."""


def load_state(module: Any, path: Path) -> None:
    """Give a module the parameters of a checkpoint; raises InputError that says what is wrong."""
    import torch

    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # pickle, zip and torch raise many kinds
        raise InputError(
            f"{path} is not a checkpoint of tensors alone; save module.state_dict()"
        ) from error
    if isinstance(found, dict):
        found = next((found[key] for key in _INSIDE if isinstance(found.get(key), dict)), found)
    named = isinstance(found, dict) and all(isinstance(key, str) for key in found)
    if not named or not all(torch.is_tensor(v) for v in found.values()):
        raise InputError(f"{path} holds no state_dict; save module.state_dict()")
    if found and all(key.startswith(_PARALLEL) for key in found):
        found = {key.removeprefix(_PARALLEL): value for key, value in found.items()}
    try:
        module.load_state_dict(found)
    except RuntimeError as error:
        said = [line.strip() for line in str(error).splitlines()[1:3]]
        raise InputError(f"{path} is not of this network: {' '.join(said)[:300]}") from error
