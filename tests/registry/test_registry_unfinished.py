"""A registered model that a killed process left without a version is no model, and goes."""

from __future__ import annotations

import pytest

from mlprod_nb.errors import NotFound
from mlprod_nb.registry import unfinished
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.models import Registry
from tests.registry.samples import candidate

_HOUR_MS = 3_600_000


def test_a_model_that_was_begun_is_none_until_its_first_version(registry: Registry, onnx_bundle: Bundle) -> None:
    unfinished.begin(registry.client, "begun")
    assert "begun" not in registry.models()
    with pytest.raises(NotFound, match="there is no model 'begun'"):
        registry.resolve("begun/1")
    assert registry.register(candidate("begun", onnx_bundle)).ref == "begun/1"
    assert "begun" in registry.models()
    assert not registry.client.get_registered_model("begun").tags


def test_what_killed_processes_left_goes_an_hour_later_but_nothing_that_is_young_or_has_a_version(
    registry: Registry, onnx_bundle: Bundle
) -> None:
    client = registry.client
    for name in ("old", "named"):
        unfinished.begin(client, name)
    client.create_registered_model("by-hand")
    registry.register(candidate("named", onnx_bundle))
    client.set_registered_model_tag("named", "mlprod.unfinished", "true")  # as if killed before the mark went
    begun = client.get_registered_model("old").creation_timestamp

    unfinished.finish(client, "other", begun + _HOUR_MS)
    assert client.get_registered_model("old").name == "old"
    unfinished.finish(client, "other", begun + 2 * _HOUR_MS)
    left = {model.name for model in client.search_registered_models()}
    assert "old" not in left
    assert {"named", "by-hand"} <= left
    assert "named" in registry.models()
