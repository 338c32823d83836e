"""What a look at a step finds: the candidate beside the champion, on the predictions since the step began to stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import as_of, describe
from mlprod_nb.lifecycle.releasing import counters
from mlprod_nb.lifecycle.releasing.deciding import Evidence, Finding, Judged
from mlprod_nb.lifecycle.releasing.plan import Plan, Step
from mlprod_nb.lifecycle.releasing.standing import Standing
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.registry.bundles import Manifest
from mlprod_nb.results import format_interval, format_value, percent
from mlprod_nb.routing import Variant
from mlprod_nb.store import journal, revisions
from mlprod_nb.store.releases import Release

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from mlprod_nb.abtest import ABTestResult, Design, MetricLift

#: Of so many requests by chance the inputs of the two arms are compared.
_COMPARED_ROWS = 20_000
#: Shares of a step's alpha: of the metrics, whose guardrails take as much again, of errors and of scores.
_METRICS, _ERRORS, _SCORES = 0.25, 0.25, 0.25


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Attributes:
        release: The release.
        plan: Its plan.
        standing: Where it stands.
    """

    release: Release
    plan: Plan
    standing: Standing

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.release.given.endpoint

    @property
    def candidate(self) -> str:
        """What the candidate's variant is called."""
        return variant_name(self.release.given.version)

    @property
    def step(self) -> Step:
        """The step that stands."""
        return self.plan.steps[self.standing.step]


def variant_name(version: str) -> str:
    """Return what a candidate's variant is called: ``v4`` for ``flights/4``."""
    return f"v{version.rsplit('/', 1)[1]}"


def champion(context: Context, release: Release) -> Variant:
    """Return the variant that served before the release began."""
    return main_variant(as_of(context, release.given.endpoint, release.given.before).spec, release.given.endpoint)


def look(context: Context, subject: Subject) -> Evidence:
    """Return what there is to decide by."""
    from mlprod_nb.lifecycle.releasing import permission

    now, plan = subject.standing, subject.plan
    hindered = "" if context.target.running(context.root) else "the gateway, which is not running: mlprod up"
    foreign, taken = changed_by(context, subject), overtaken(context, subject)
    if now.phase != "stands" or now.paused or foreign or not subject.step.measured:
        approval = permission.missing(context, subject.release, plan) if _before_the_last(subject) else ""
        return Evidence(foreign=foreign, obstacle=hindered, approval=approval, overtaken=taken)
    found = _measured(context, subject)
    approval = permission.missing(context, subject.release, plan) if _before_the_last(subject) else ""
    return Evidence(found.predictions, found.labels, found.findings, "", found.fault, hindered, approval)


def changed_by(context: Context, subject: Subject) -> str:
    """Say who changed the endpoint since the release's newest revision, and how; empty where nobody did."""
    with context.store.read() as connection:
        present = revisions.newest_active(connection).get(subject.endpoint)
    now = subject.standing
    if present is None or present.number == now.revision:
        return ""
    # What an action made that is not written down as ended.
    if present.number > now.newest and now.reason and present.reason == now.reason:
        return ""
    what = describe(present.spec) or "it was taken away"
    return f"{present.actor} made revision {present.number} of {subject.endpoint!r} meanwhile ({what})."


def overtaken(context: Context, subject: Subject) -> str:
    """Say who moved the alias with a revision of this endpoint that the release did not make, as a promotion does.

    Empty where nobody did, or where the alias is back where it was.
    """
    release = subject.release
    model, own = release.given.version.rsplit("/", 1)[0], {e.detail for e in release.events if e.kind == "begun"}
    with context.store.read() as connection:
        past = {r.id: r for r in revisions.history(connection, subject.endpoint) if r.number > release.given.before}
        foreign = [number for number, revision in past.items() if revision.reason not in own]
        moves = [e for e in journal.of_revisions(connection, foreign) if e.subject == f"{model}@{subject.plan.alias}"]
    if not moves or moves[-1].after == moves[0].before:
        return ""
    last = moves[-1]
    number = past[last.revision_id].number if last.revision_id else 0
    return (
        f"{last.actor} moved {last.subject} from {moves[0].before or 'nothing'} to {last.after or 'nothing'} meanwhile,"
        f" with revision {number} of {subject.endpoint!r}, so there is nothing left to release."
    )


def _before_the_last(subject: Subject) -> bool:
    following = subject.standing.step + 1
    return following < len(subject.plan.steps) and subject.plan.steps[following].kind == "promote"


@dataclass(frozen=True)
class _Measured:
    predictions: int
    labels: int
    findings: tuple[Finding, ...]
    fault: str


def _measured(context: Context, subject: Subject) -> _Measured:
    """Compare the two on the step's own predictions."""
    import pyarrow.compute as pc

    control = champion(context, subject.release)
    pinned = context.log.pin(subject.endpoint)
    rows = reading.labelled(context, pinned, reading.Wanted(shadows=True))
    rows = _told_apart(_of(rows, subject.standing.revision), subject.step)
    manifest = context.bundle_of(control).manifest
    in_pairs = subject.step.share in (0.0, 100.0)
    mine = rows.filter(pc.and_(pc.equal(rows["variant"], subject.candidate), pc.equal(rows["shadow"], in_pairs)))
    found = _compared(context, subject, rows, control)
    errors = counters.failures(context, subject.endpoint, subject.standing.facts)
    alpha = subject.plan.step_alpha
    findings = (
        judge_errors(errors.of(control.name, subject.candidate, subject.step), subject.plan, alpha * _ERRORS),
        *(
            judge_metric(lift, _tolerances(subject.plan))
            for lift in found.metrics
            if lift.metric in _tolerances(subject.plan)
        ),
        _scores(rows, control.name, subject, alpha * _SCORES),
    )
    wrong = next((check.found for check in found.health if not check.ok), "")
    known = mine.num_rows - mine["label_number" if manifest.task == "regression" else "label"].null_count
    return _Measured(mine.num_rows, known, findings, wrong)


def _of(rows: pa.Table, revision: int) -> pa.Table:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["revision"], revision))


def _told_apart(rows: pa.Table, step: Step) -> pa.Table:
    """Return rows in which the candidate is the shadow, also where it answers all and the champion is in shadow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shadow = pc.fill_null(rows["shadow"].cast(pa.bool_()), False)
    at = rows.column_names.index("shadow")
    return rows.set_column(at, "shadow", pc.invert(shadow) if step.share == 100 else shadow)


def _compared(context: Context, subject: Subject, rows: pa.Table, control: Variant) -> ABTestResult:
    from mlprod_nb import abtest

    share = subject.step.share / 100
    split = {control.name: 1 - share, subject.candidate: share} if 0 < share < 1 else {control.name: 1.0}
    manifest = context.bundle_of(control).manifest
    inputs = None
    if 0 < share < 1:
        only = ["event_time", "received_at", "revision", "variant", "unit", "prediction_id", "inputs"]
        inputs = context.log.sample(context.log.pin(subject.endpoint), _COMPARED_ROWS, only=only)
        inputs = _of(inputs, subject.standing.revision)
    return abtest.analyse(
        rows,
        design(subject, control.name, manifest),
        shares=split,
        task=manifest.task,
        classes=manifest.classes,
        inputs=inputs,
    )


def design(subject: Subject, control: str, manifest: Manifest) -> Design:
    """Return how a step is read: as an A/B test whose metrics may be looked at whenever one likes."""
    from mlprod_nb import abtest
    from mlprod_nb.abtest import metrics

    in_pairs = subject.step.share in (0.0, 100.0)
    names = dict(subject.plan.metrics)
    # What has no better direction cannot come first, and what comes first is no guardrail.
    directed = [name for name in names if metrics.find(name).better != "same"]
    primary = directed[0] if directed else metrics.default_metric(manifest.task)
    guarded = {name: worse for name, worse in names.items() if name != primary}
    guarded |= {} if in_pairs or primary == "latency_ms" else {"latency_ms": subject.plan.latency_ms}
    return abtest.Design(
        endpoint=subject.endpoint,
        control=control,
        treatment=subject.candidate,
        primary=primary,
        guardrails=tuple(abtest.Guardrail(name, worse) for name, worse in guarded.items()),
        alpha=subject.plan.step_alpha * _METRICS,
        method="paired" if in_pairs else "always-valid",
    )


def _tolerances(plan: Plan) -> Mapping[str, float]:
    return {"latency_ms": plan.latency_ms, **plan.metrics}


def judge_metric(lift: MetricLift, tolerances: Mapping[str, float]) -> Finding:
    """Judge a metric by its confidence sequence: the whole of it beyond what is allowed, or the whole of it within."""
    worse = tolerances[lift.metric]
    low, high = lift.difference_lower, lift.difference_upper
    facts = (lift.metric, lift.control, lift.treatment, worse)
    if low is None or high is None:
        return Finding(*facts, "not judged", _unread(lift))
    harmed = (high < -worse and lift.better != "lower") or (low > worse and lift.better != "higher")
    within = (low >= -worse or lift.better == "lower") and (high <= worse or lift.better == "higher")
    judged: Judged = "harm" if harmed else "within" if within else "open"
    values = f"{format_value(lift.treatment)} against {format_value(lift.control)}"
    bounds = f"difference {lift.difference:+.4g}, interval {format_interval(low, high, digits=4, signed=True)}"
    return Finding(*facts, judged, f"{lift.metric} is {values} ({bounds}, {worse:g} is allowed)")


def _unread(lift: MetricLift) -> str:
    least = min(lift.units_control, lift.units_treatment)
    if not least:
        return f"{lift.metric} is not judged: nothing has come that it is computed from"
    same = " or nothing differs" if lift.control == lift.treatment else ""
    return f"{lift.metric} is not judged: {least} units in one of the two are too few{same}"


def judge_errors(found: counters.Failures, plan: Plan, alpha: float) -> Finding:
    """Judge failed requests: the least that the candidate's share can be, beside the most that the champion's can."""
    from mlprod_nb.abtest import rates

    if not found.candidate_requests:
        return Finding("errors", None, None, plan.errors, "not judged", f"errors are not judged: {found.problem}")
    mine = rates.sequence(found.candidate_failed, found.candidate_requests, alpha=alpha / 2)
    theirs = rates.sequence(found.champion_failed, found.champion_requests, alpha=alpha / 2)
    shares = (
        found.champion_failed / found.champion_requests if found.champion_requests else None,
        found.candidate_failed / found.candidate_requests,
    )
    judged: Judged = "open"
    if mine.lower - theirs.upper > plan.errors:
        judged = "harm"
    elif mine.upper - theirs.lower <= plan.errors:
        judged = "within"
    sentence = (
        f"{found.candidate_failed:,} of {found.candidate_requests:,} requests failed, against "
        f"{found.champion_failed:,} of {found.champion_requests:,} of the champion's "
        f"({percent(plan.errors, 2)} more allowed)"
    )
    return Finding("errors", *shares, plan.errors, judged, sentence)


def _scores(rows: pa.Table, control: str, subject: Subject, alpha: float) -> Finding:
    """Judge how far the two variants' scores lie apart, of each unit the first."""
    from mlprod_nb.abtest import shift

    in_pairs = subject.step.share in (0.0, 100.0)
    ours = _first_scores(rows, subject.candidate, shadow=in_pairs)
    allowed = subject.plan.shift
    found = shift.between(_first_scores(rows, control, shadow=False), ours, alpha=alpha)
    if found is None:
        return Finding("scores", None, None, allowed, "not judged", "scores are not judged: one of the two has none")
    judged: Judged = "harm" if found.lower > allowed else "within" if found.upper <= allowed else "open"
    sentence = (
        f"the scores' distributions lie {found.value:.2f} apart (between {found.lower:.2f} and {found.upper:.2f}, "
        f"{allowed:g} is allowed)"
    )
    return Finding("scores", 0.0, found.value, allowed, judged, sentence)


def _first_scores(rows: pa.Table, variant: str, *, shadow: bool) -> NDArray[np.float64]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    mine = rows.filter(pc.and_(pc.equal(rows["variant"], variant), pc.equal(rows["shadow"], shadow)))
    keys = pc.if_else(pc.equal(pc.fill_null(mine["unit"], ""), ""), mine["prediction_id"], mine["unit"])
    keys = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    first = pc.equal(pc.index_in(keys, value_set=keys), pa.array(np.arange(mine.num_rows), pa.int32()))
    scores = mine.filter(first)["score"].to_numpy()
    return np.asarray(scores[np.isfinite(scores)], dtype=np.float64)
