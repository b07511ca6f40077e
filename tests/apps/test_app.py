import dataclasses
import math

import pytest

from edgesnn.app import APPS, App, load_app, sample_path
from edgesnn.bundle import load_bundle
from edgesnn.errors import InputError
from edgesnn.sources.files import open_file


@pytest.mark.parametrize("name", APPS)
def test_every_app_is_a_frozen_description_with_a_playable_sample(name: str) -> None:
    app = load_app(name)
    assert isinstance(app, App) and app.name == name and app.summary.endswith(".")
    with pytest.raises(dataclasses.FrozenInstanceError):
        app.model = "other"  # type: ignore[misc]
    source = open_file(sample_path(app), load_bundle(app.model), speed=math.inf)
    packets = iter(source.read, None)
    assert sum(len(packet.events) for packet in packets) > 2_000


@pytest.mark.parametrize("model", ["fashion", "nmnist"])
def test_a_model_of_its_own_kind_has_a_sample_of_its_own(model: str) -> None:
    app, bundle = load_app("digits"), load_bundle(model)
    assert sample_path(app, model) != sample_path(app)
    source = open_file(sample_path(app, model), bundle, speed=math.inf)
    packets = iter(source.read, None)
    assert sum(len(packet.events) for packet in packets) > 2_000


def test_an_unknown_app_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no app 'os'; the apps here are: gesture"):
        load_app("os")


def test_a_missing_sample_says_what_to_do() -> None:
    app = App("gesture", "Waves.", "gesture", "no_such_sample.bs2")
    with pytest.raises(InputError, match="no_such_sample.bs2 is missing .* name a source"):
        sample_path(app)
