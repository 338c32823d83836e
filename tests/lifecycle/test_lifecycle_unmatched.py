"""Feedback that names no prediction of its endpoint is told by the verb, the performance look and verify."""

from __future__ import annotations

import pytest

from mlprod_nb.monitoring import MonitorResult
from mlprod_nb.serving.identifiers import Identifiers
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_feedback_about_no_prediction_of_the_endpoint_is_told_wherever_one_may_look(site: Site) -> None:
    workspace = site.workspace
    workspace.deploy("flights@champion")
    workspace.deploy("flights@challenger", endpoint="fares")
    own = workspace.predict("flights", data=site.data).prediction_ids
    (other,) = workspace.predict("fares", data=site.data[:1]).prediction_ids
    assert str(workspace.feedback("flights", ids=own[:98], values=site.target[:98])).startswith(
        "98 labels taken for 'flights'."
    )
    assert workspace.verify().verdict.status == "ok"
    never = Identifiers().new()
    sent = workspace.feedback("flights", ids=[own[98], other, never], values=[1, 0, 1])
    assert (sent.accepted, sent.unmatched) == (3, 2)
    assert sent.headline() == (
        "3 labels taken for 'flights'. "
        f"2 of 3 pieces of feedback name no prediction of 'flights', as {min(other, never)}."
    )
    told = f"2 of 101 pieces of feedback name no prediction of 'flights', as {min(other, never)}"
    look = workspace.monitor("flights", performance=True)
    assert isinstance(look, MonitorResult)
    assert [(found.severity, found.statement) for found in look.quality if found.check == "stray feedback"] == [
        ("warn", f"{told}, and left out")
    ]
    verified = workspace.verify()
    assert (verified.verdict.status, verified.problems, verified.unmatched) == ("warn", (), (told,))
    assert verified.verdict.sentence == f"every checksum and digest matches; {told}."
