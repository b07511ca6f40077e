from __future__ import annotations

from collections.abc import Callable

import contract_readouts as contract
import pytest

from edgesnn.decide.readouts import READOUTS

CHECKS = [value for name, value in vars(contract).items() if name.startswith("check_")]


def test_every_kind_has_a_case() -> None:
    assert set(contract.SPECS) == set(READOUTS)
    assert all(isinstance(contract.SPECS[kind], READOUTS[kind].spec) for kind in READOUTS)


@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: Callable[[str], None], kind: str) -> None:
    check(kind)
