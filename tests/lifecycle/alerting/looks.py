"""Looks whose verdicts rest on given causes."""

from __future__ import annotations

from mlprod_nb.lifecycle.alerting.alerts import Look
from mlprod_nb.results import Cause, Status, Verdict

WORST: dict[int, Status] = {0: "ok", 1: "warn", 2: "alarm"}


def look(*causes: str, endpoint: str = "flights", kind: str = "drift", report: str = "3fa9c1d2" * 8) -> Look:
    """Return a look whose verdict rests on causes written like ``drift=alarm``."""
    found = tuple(Cause(name, grade) for name, _, grade in (text.rpartition("=") for text in causes))  # type: ignore[arg-type]
    worst = WORST[max((("ok", "warn", "alarm").index(cause.grade) for cause in found), default=1)]
    verdict = Verdict(worst, f"{', '.join(causes) or 'nothing was tested'}.", "%mlprod rollback flights", found)
    return Look(endpoint, kind, verdict, report, "reports/flights/drift/x/index.html")
