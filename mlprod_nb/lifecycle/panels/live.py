"""The live panel: what a gateway answers now, by variant, from its metrics and the newest rows of the log.

A watch looks again and again, at its caller's pace and in flat memory, however long it lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.clock import Clock
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.panels import reacting
from mlprod_nb.lifecycle.panels.counters import LiveRow, Sample, Samples, Stretch, between, read
from mlprod_nb.lifecycle.panels.reacting import ReactionNow
from mlprod_nb.results import Result, Section, counted

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.panels.recent import Recent
    from mlprod_nb.lifecycle.panels.under_way import ReleaseNow

#: What is shown as now: the last so many seconds.
_LAST_SECONDS = 5.0


@dataclass(frozen=True)
class LiveView(Result):
    """What an endpoint has answered since its gateway started.

    Attributes:
        endpoint: The endpoint's name.
        revision: Its revision's number.
        at: The moment.
        requests: Requests since the gateway started.
        refused: Of these, those with an error.
        variants: By variant, since the gateway started.
        recent: The newest rows of the log: scores against the reference, and how many predictions came true.
        problem: Why there are no numbers; empty where there are.
        release: The release that is under way, or ended within the hour.
        reactions: What users do.
    """

    endpoint: str
    revision: int
    at: datetime
    requests: float
    refused: float
    variants: tuple[LiveRow, ...]
    recent: Recent | None
    problem: str = ""
    release: ReleaseNow | None = None
    reactions: tuple[ReactionNow, ...] = ()

    _frame_field: ClassVar[str] = "variants"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "recent", "release", "reactions")

    def headline(self) -> str:
        """Say how much was answered."""
        if self.problem:
            return f"Endpoint {self.endpoint!r}: {self.problem}"
        refused = f", {self.refused:,.0f} of them with an error" if self.refused else ""
        answered = counted(round(self.requests), "request")
        told = f" {self.release.sentence}" if self.release else ""
        told += f" The newest rows are {self.recent.problem}" if self.recent and self.recent.problem else ""
        return f"Endpoint {self.endpoint!r}: {answered} since the gateway started{refused}.{told}"

    def sections(self) -> list[Section]:
        """Show the variants, what users do, and a release's steps."""
        users = [reacting.section(self.reactions, [row.variant for row in self.variants])] if self.reactions else []
        return [*super().sections(), *users, *([self.release.section()] if self.release else [])]


def look(context: Context, endpoint: str) -> LiveView:
    """Return what an endpoint has answered so far; a gateway that does not answer is said to, never an error."""
    from mlprod_nb.lifecycle.panels import recent, under_way
    from mlprod_nb.lifecycle.traffic import client

    revision, now = existing(context, endpoint), context.clock()
    bundles = bundles_of(context, endpoint)
    order = tuple(bundles)
    newest, release = recent.read(context, endpoint), under_way.look(context, endpoint)
    shares = newest.reactions if newest else ()
    try:
        with client(context) as gateway:
            sample = read(gateway.metrics(), endpoint, now, bundles)
    except MlprodError as error:
        users = reacting.together((), shares)
        return LiveView(endpoint, revision.number, now, 0, 0, (), newest, str(error), release, users)
    whole = between(Sample(now, 0, 0, {}), sample, in_order(sample.variants, order))
    users = reacting.together(Samples(newest=sample).reactions(), shares)
    told = (endpoint, revision.number, now, whole.requests, whole.refused, whole.variants, newest, "", release, users)
    return LiveView(*told)


def bundles_of(context: Context, endpoint: str) -> dict[str, str]:
    """Return the digest of each variant's and shadow's bundle, in the endpoint's order."""
    spec = existing(context, endpoint).spec
    return {variant.name: variant.bundle for variant in (*spec.variants, *spec.shadows)} if spec else {}


def in_order(names: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    """Return names in the endpoint's order, so that each has the same colour everywhere; others come after."""
    place = {name: index for index, name in enumerate(order)}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(order)), name)))


@dataclass(frozen=True)
class Now(Result):
    """What a watch knows at one moment.

    Attributes:
        at: The moment.
        problem: Why the gateway does not tell; empty where it does.
        names: The variants.
        last: The last seconds; ``None`` before there are two looks.
        stretches: All of the watch's time.
        recent: The newest rows of the log.
        release: The release that is under way, or ended within the hour.
        reactions: What users do.
    """

    at: datetime
    problem: str
    names: tuple[str, ...]
    last: Stretch | None
    stretches: tuple[Stretch, ...]
    recent: Recent | None
    release: ReleaseNow | None = None
    reactions: tuple[ReactionNow, ...] = ()


class Watch:
    """Looks at one endpoint again and again, at its caller's pace.

    The rows of the log are read every tenth look, and no more than a tenth of the time.

    Args:
        clock: Gives the present moment.
        endpoint: The endpoint's name.
        metrics: Gives the gateway's metrics in Prometheus's text format.
        recent: Reads the newest rows of the log.
        bundles: Gives the digest of each variant's bundle, in the endpoint's order; asked when the log is read.
        release: Reads the release that is under way; asked at every look.
    """

    def __init__(
        self,
        clock: Clock,
        endpoint: str,
        metrics: Callable[[], str],
        recent: Callable[[], Recent | None],
        bundles: Callable[[], Mapping[str, str]],
        release: Callable[[], ReleaseNow | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._metrics = metrics
        self._recent = recent
        self._bundles_of = bundles
        self._release_of = release
        self._release: ReleaseNow | None = None
        self._bundles: Mapping[str, str] = {}
        self._newest: Recent | None = None
        self._rows_after: datetime | None = None
        self.samples = Samples()

    def look(self) -> Now:
        """Return what is known now; a gateway or a log that cannot be read is said to, never an error."""
        problem = ""
        try:
            self._release = self._release_of()
            self._read_rows()
            self.samples.add(read(self._metrics(), self._endpoint, self._clock(), self._bundles))
        except MlprodError as error:
            problem = str(error)
        newest = self.samples.newest
        names = in_order(newest.variants, tuple(self._bundles)) if newest else ()
        last, stretches = self.samples.last(names, _LAST_SECONDS), tuple(self.samples.stretches(names))
        users = reacting.together(self.samples.reactions(), self._newest.reactions if self._newest else ())
        return Now(self._clock(), problem, names, last, stretches, self._newest, self._release, users)

    def _read_rows(self) -> None:
        begun = self._clock()
        if self._rows_after is None or begun >= self._rows_after:
            self._newest, self._bundles = self._recent(), self._bundles_of()
            ended = self._clock()
            self._rows_after = ended + max(timedelta(seconds=10), 9 * (ended - begun))


def watch(context: Context, endpoint: str) -> Watch:
    """Return a watch of an endpoint."""
    from mlprod_nb.lifecycle.panels import recent, under_way
    from mlprod_nb.lifecycle.traffic import client

    def metrics() -> str:
        # A gateway that was started again has another address.
        with client(context) as gateway:
            return gateway.metrics()

    rows, bundles = partial(recent.read, context, endpoint), partial(bundles_of, context, endpoint)
    return Watch(context.clock, endpoint, metrics, rows, bundles, partial(under_way.look, context, endpoint))
