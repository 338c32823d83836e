"""Watching an endpoint: pin a range of the log, compare it with the reference of the version that serves."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlprod_nb.clock import parse_moment
from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import as_of, existing
from mlprod_nb.lifecycle.watching import examining, extent
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.routing import EndpointSpec, Variant

if TYPE_CHECKING:
    from mlprod_nb.monitoring import MonitorResult
    from mlprod_nb.monitoring.drill_result import DrillResult
    from mlprod_nb.prediction_log.ranges import LogRange
    from mlprod_nb.store.revisions import Revision


_MOST_ROWS = 10_000
"""How many rows those see that work on rows; each of them takes fewer."""


@dataclass(frozen=True)
class Window:
    """Which part of the log: by event times as users write them, or pinned by a report.

    Attributes:
        endpoint: The endpoint's name.
        since: From this event time on; empty: from the beginning.
        until: Before this event time; empty: to the end.
        pinned: A log range as JSON; excludes ``since`` and ``until``.
    """

    endpoint: str
    since: str = ""
    until: str = ""
    pinned: str = ""


def pin(context: Context, window: Window, *, progress: Progress = SILENCE) -> LogRange:
    """Turn a window into a range of the log that stays the same; who listens hears of it once the words will do.

    Raises:
        UsageError: Both a pinned range and event times are given, or the range is another endpoint's.
        NotFound: The endpoint does not exist.
    """
    from mlprod_nb.prediction_log.ranges import LogRange

    if window.pinned:
        if window.since or window.until:
            raise UsageError("--pinned excludes --since and --until.")
        pinned = LogRange.from_json(window.pinned)
        if pinned.endpoint != window.endpoint:
            raise UsageError(f"the pinned range is of endpoint {pinned.endpoint!r}, not {window.endpoint!r}.")
        return pinned
    existing(context, window.endpoint)
    now = context.clock()
    since = parse_moment(window.since, now=now) if window.since else None
    until = parse_moment(window.until, now=now) if window.until else None
    if since and until and since >= until:
        raise UsageError(f"--since {window.since} is not before --until {window.until}.")
    progress.step("pinning the rows")
    return context.log.pin(window.endpoint, since=since, until=until)


def pinned_text(pinned: LogRange, revision: int) -> str:
    """Return a range as a report hands it to its notebook: with the revision that it is about."""
    return json.dumps(json.loads(pinned.to_json()) | {"revision": revision}, sort_keys=True)


def judged_by(context: Context, window: Window) -> Revision:
    """Return the revision that a report pinned with its window, so that a replay is judged alike; else the present."""
    number = json.loads(window.pinned).get("revision") if window.pinned else None
    return as_of(context, window.endpoint, number) if number else existing(context, window.endpoint)


@dataclass(frozen=True)
class Extra:
    """What a look does beyond the ordinary.

    Attributes:
        alibi: Run alibi-detect's detectors.
        alibi_with: Names of these, divided by commas; turns ``alibi`` on.
        joint: Test all columns together.
        online: Watch the rows in the order of their event times.
        performance: Look thoroughly at the model.
        detectors: Names of the detectors to run instead of the usual ones, divided by commas.
    """

    alibi: bool = False
    alibi_with: str = ""
    joint: bool = False
    online: bool = False
    performance: bool = False
    detectors: str = ""

    @property
    def alibi_detectors(self) -> tuple[str, ...]:
        """The names."""
        return tuple(name.strip() for name in self.alibi_with.split(",") if name.strip())


def monitor(context: Context, window: Window, extra: Extra) -> MonitorResult:
    """Compare a window with the reference of the endpoint's main version."""
    from mlprod_nb import monitoring
    from mlprod_nb.lifecycle.watching.window_counts import MOST_EARLIER, WindowCounter
    from mlprod_nb.monitoring.detectors import named
    from mlprod_nb.registry.bundles import REFERENCE

    _check(extra)
    pinned = pin(context, window, progress=context.progress)
    variant = main_variant(judged_by(context, window).spec, window.endpoint)
    bundle = context.bundle_of(variant)
    counter = WindowCounter.of(context.log, bundle, variant.model_version)
    context.progress.step("counting the log's files")
    counts, *earlier = counter.counts(pinned, MOST_EARLIER)
    settings = context.settings.endpoint(window.endpoint).monitor
    rows = context.log.outcomes(
        pinned, only=(*examining.NARROW, *examining.columns(settings, thorough=extra.performance))
    )
    context.progress.step("comparing with the reference")
    found = monitoring.run(
        monitoring.MonitorInput(
            endpoint=window.endpoint,
            model_version=variant.model_version,
            profile=counter.profile,
            reference=bundle.path / REFERENCE,
            window=rows,
            counts=counts,
            rows=lambda: context.log.sample(pinned, _MOST_ROWS, only=["event_time", "inputs"]),
            since=pinned.since,
            until=pinned.until,
            alibi=extra.alibi or bool(extra.alibi_detectors),
            alibi_detectors=extra.alibi_detectors,
            alibi_folder=context.layout.alibi / variant.bundle,
            joint=extra.joint,
            online=extra.online,
            yearly_alpha=settings.yearly_alpha,
            looks_per_year=settings.looks_per_year,
            earlier=tuple(earlier),
            in_report=bool(window.pinned),
            request=examining.request(context, pinned, bundle, rows, thorough=extra.performance),
            detectors=named(extra.detectors),
            refused=examining.refused(context, pinned),
            unmatched=context.log.unmatched(pinned) if extra.performance else None,
            reactions=context.log.reactions(pinned),
            now=None if window.pinned else context.clock(),
        )
    )
    return found if found.rows or window.pinned else _elsewhere(context, found)


def _elsewhere(context: Context, found: MonitorResult) -> MonitorResult:
    """Say of an empty window where the predictions are; of a pinned one nobody asks, and it must stay as it is."""
    sentence = f"{found.verdict.sentence.removesuffix('.')}; {extent.told(context, found.endpoint)}."
    return replace(found, verdict=replace(found.verdict, sentence=sentence))


def _check(extra: Extra) -> None:
    """Tell of a wrong name before anything is read; without names nothing need be looked up.

    Raises:
        NotFound: There is no detector of a name.
    """
    from mlprod_nb.monitoring.detectors import choose, named

    if extra.detectors:
        choose(named(extra.detectors))
    if extra.alibi_detectors:
        from mlprod_nb.monitoring.detectors import alibi

        alibi.choose(extra.alibi_detectors)


def drill(context: Context, window: Window, injected: str) -> DrillResult:
    """Inject a drift into a copy of a window, and tell which detectors would find it, after how many rows and looks."""
    from mlprod_nb.monitoring import Profile, counting, drill
    from mlprod_nb.monitoring.budget import Budget
    from mlprod_nb.monitoring.detectors import choose
    from mlprod_nb.registry.bundles import PROFILE

    pinned = pin(context, window)
    variant = main_variant(existing(context, window.endpoint).spec, window.endpoint)
    profile = Profile.from_json((context.bundle_of(variant).path / PROFILE).read_bytes())
    injection = drill.parse(injected, profile)
    settings = context.settings.endpoint(window.endpoint).monitor
    ground = drill.Ground(
        profile=profile,
        columns=counting.inputs(context.log.sample(pinned, drill.LADDER[-1], only=["inputs"])),
        rows=pinned.rows,
        budget=Budget(settings.yearly_alpha, settings.looks_per_year),
        detectors=choose(),
    )
    return drill.run(window.endpoint, ground, injection)


def main_variant(spec: EndpointSpec | None, endpoint: str) -> Variant:
    """Return the variant whose reference counts: the first with the largest weight.

    Raises:
        Refused: The endpoint was taken away.
    """
    if spec is None:
        raise Refused(f"endpoint {endpoint!r} was taken away.")
    return max(spec.variants, key=lambda variant: variant.weight)
