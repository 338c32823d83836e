"""Requests that failed and that did not, by variant, as the gateway counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import traffic
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.releasing.plan import Step

_ANSWERED, _FAILED = "mlprod_prediction_seconds_count", "mlprod_model_errors_total"


@dataclass(frozen=True)
class Failures:
    """Failed requests of two variants.

    Attributes:
        champion_failed: Requests that the champion's model failed on.
        champion_requests: Requests that it was asked.
        candidate_failed: Requests that the candidate's model failed on.
        candidate_requests: Requests that it was asked.
        problem: Why there are none.
    """

    champion_failed: int
    champion_requests: int
    candidate_failed: int
    candidate_requests: int
    problem: str = "no request has come"


@dataclass(frozen=True)
class Counts:
    """What was counted at an endpoint since a step began to stand.

    Attributes:
        answered: Requests that were answered, by the variants that they met.
        failed: Requests that a variant failed on; a shadow's name ends with ``/shadow``.
        problem: Why nothing is known; empty where something is.
    """

    answered: Mapping[str, int]
    failed: Mapping[str, int]
    problem: str = ""

    def of(self, champion: str, candidate: str, step: Step) -> Failures:
        """Return both variants' failures; whoever is in shadow is asked whatever the other has answered."""
        problem = self.problem or "no request has come"
        asked = {name: self.answered.get(name, 0) + self.failed.get(name, 0) for name in (champion, candidate)}
        failed = {name: self.failed.get(name, 0) for name in (champion, candidate)}
        if step.share in (0.0, 100.0):
            heard, unheard = (champion, candidate) if step.share == 0 else (candidate, champion)
            failed[unheard] = self.failed.get(f"{unheard}/shadow", 0)
            asked[unheard] = max(failed[unheard], self.answered.get(heard, 0))
        return Failures(failed[champion], asked[champion], failed[candidate], asked[candidate], problem)


def now(context: Context, endpoint: str) -> dict[str, Any]:
    """Return what the gateway has counted so far, to be written down when a step begins to stand; empty: none runs."""
    record = context.target.running(context.root)
    if record is None:
        return {}
    try:
        with traffic.client(context) as gateway:
            text = gateway.metrics()
    except MlprodError:
        return {}
    counted = read(text, endpoint)
    return {"gateway": record.id, **{name: dict(values) for name, values in counted.items()}}


def failures(context: Context, endpoint: str, before: Mapping[str, Any]) -> Counts:
    """Return what was counted since; a gateway that was started since counts from nothing."""
    present = now(context, endpoint)
    if not present:
        return Counts({}, {}, "the gateway does not answer")
    base = before if before.get("gateway") == present["gateway"] else {}
    answered, failed = (Counter(present[name]) - Counter(base.get(name, {})) for name in ("answered", "failed"))
    return Counts(answered, failed)


def read(text: str, endpoint: str) -> dict[str, Counter[str]]:
    """Return what the gateway's metrics say of one endpoint: requests answered and failed, by variant."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, Counter[str]] = {"answered": Counter(), "failed": Counter()}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("endpoint") != endpoint:
                continue
            if sample.name == _ANSWERED:
                found["answered"][sample.labels["variant"]] += int(sample.value)
            elif sample.name == _FAILED:
                mark = "/shadow" if sample.labels["shadow"] == "true" else ""
                found["failed"][sample.labels["variant"] + mark] += int(sample.value)
    return found
