"""A verdict's causes: what is wrong by name, what was judged and is fine, and nothing of what could not be judged."""

from __future__ import annotations

from dataclasses import replace

from mlprod_nb.monitoring import causes, verdict
from mlprod_nb.monitoring.rows import ColumnDrift, Finding, MetricRow
from mlprod_nb.monitoring.service import Service
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.monitoring.trials import Estimation
from mlprod_nb.monitoring.verdict import Evidence
from mlprod_nb.registry.bundles import SCORE_COLUMN

STABLE = ColumnDrift("hour", "number", "ks", 0.01, 0.01, 0.8, 1.0, 0.0, False, 0.001, "as before")
DRIFTED = replace(STABLE, p_value=1e-9, drifted=True, effect=0.2, impact=0.2)
SCORE = replace(DRIFTED, column=SCORE_COLUMN)
WORSE = MetricRow("brier", "version flights/1", 0.1, 0.2, 0.19, 0.21, 900, worse=True)
CALM = Evidence("flights", 900, (STABLE,), (), (), (), (), "flights/1", in_report=True)


def found(evidence: Evidence) -> dict[str, str]:
    made = causes.explained(verdict.conclude(evidence), evidence)
    return {cause.name: cause.grade for cause in made.causes}


def test_a_calm_look_names_the_families_that_it_judged() -> None:
    assert found(CALM) == {"quality": "ok", "drift": "ok"}
    assert found(replace(CALM, performance=(replace(WORSE, worse=False),)))["performance"] == "ok"


def test_an_empty_window_judged_nothing() -> None:
    assert found(replace(CALM, rows=0)) == {}


def test_performance_that_fell_is_the_alarm_and_drift_beside_it_a_warning() -> None:
    both = replace(CALM, performance=(WORSE,), columns=(DRIFTED,))
    assert found(both) == {"performance": "alarm", "quality": "ok", "drift": "warn"}


def test_drift_that_likely_harms_is_an_alarm_by_itself_and_else_a_warning() -> None:
    assert found(replace(CALM, columns=(DRIFTED,), outcomes=(SCORE,))) == {"quality": "ok", "drift": "alarm"}
    assert found(replace(CALM, columns=(DRIFTED,)))["drift"] == "warn"


def test_each_broken_column_is_a_cause_of_its_own() -> None:
    broken = tuple(Finding(name, "missing column", "alarm", 1.0, "is gone") for name in ("hour", "carrier"))
    untested = replace(STABLE, p_value=None)
    both = replace(CALM, quality=broken, columns=(untested,))
    assert found(both) == {"quality: carrier": "alarm", "quality: hour": "alarm"}


def test_what_is_wrong_beyond_the_metrics_is_a_family_of_its_own() -> None:
    slow = Service((), 1e-6, slower=True, statement="answers take twice as long")
    assert found(replace(CALM, standing=Standing(service=slow))) == {"quality": "ok", "standing": "warn", "drift": "ok"}
    fast = replace(slow, p_value=0.5, slower=False)
    assert found(replace(CALM, standing=Standing(service=fast))) == {"quality": "ok", "standing": "ok", "drift": "ok"}
    both = replace(CALM, columns=(DRIFTED,), standing=Standing(service=slow))
    assert found(both) == {"quality": "ok", "standing": "warn", "drift": "warn"}


def test_an_estimate_that_alarms_is_the_alarm_and_not_the_drift_beside_it() -> None:
    estimated = Estimation("", (), "", (), None, "yes", "", "log loss is estimated to have risen")
    harmed = replace(CALM, columns=(DRIFTED,), standing=Standing(estimation=estimated))
    assert found(harmed) == {"quality": "ok", "standing": "alarm", "drift": "warn"}
