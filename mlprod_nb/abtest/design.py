"""The design of an A/B test: what is asked, of whom, and how the answer is read. Fixed before the data come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from mlprod_nb.abtest import bandit, expression, metrics, segmenting
from mlprod_nb.abtest.custom import CustomMetric, events_of
from mlprod_nb.abtest.events import Event
from mlprod_nb.abtest.sequential import TIGHTEST_AT
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import percent

Method = Literal["always-valid", "fixed", "planned", "paired"]
Correction = Literal["holm", "benjamini-hochberg"]
Ends = Literal["formula", "bootstrap"]
Allocation = Literal["fixed", "thompson"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Guardrail:
    """A metric that must not get worse.

    Attributes:
        metric: Its name.
        tolerance: By how much it may get worse, in its own units.
    """

    metric: str
    tolerance: float


@dataclass(frozen=True)
class Design:
    """What an A/B test asks and how its answer is read.

    Attributes:
        endpoint: The endpoint whose split is the test.
        control: The variant to compare with.
        treatment: The variant that may replace it.
        primary: The metric that decides.
        guardrails: Metrics that must not get worse.
        minimal_effect: The smallest difference worth having, in the primary metric's units; 0: any.
        alpha: Chance of a false alarm, two-sided; guardrails share as much again.
        power: Chance to find the minimal effect where it is there.
        method: ``"always-valid"`` (look whenever you like), ``"planned"`` (look at fixed points), ``"fixed"`` (once),
            ``"paired"`` (the treatment is a shadow: request by request, whenever you like).
        looks: How many looks are planned; for ``"planned"``.
        expected_rows: Predictions with feedback after which the test is read (fixed, planned) or its interval is
            tightest (always-valid).
        others: Further treatments; each is compared with the control, and they share alpha.
        custom: Metrics that the design brings.
        cap: Values above this quantile of the first 1,000 are cut down to it; 0: none are. Proportions have none.
        covariates: Numeric inputs, or ``prediction of flights/2``, which no variant can have changed; they narrow the
            intervals of means.
        correction: Of the p-values over all metrics.
        interval: ``"formula"``, or ``"bootstrap"`` over units where the method is ``"fixed"``.
        maximum_days: How long the test may run; 0: as long as it takes.
        segments: Inputs, or expressions over inputs, by whose values the primary metric is compared apart, too.
        allocation: ``"fixed"``, or ``"thompson"``: ``abtest allocate`` moves the shares to what earns more.
        floor: The least share of any variant under ``"thompson"``.
        hypothesis: Why the treatment should be better, in the user's words.
        started_at: When the test began; ``None`` for one that was never started.
    """

    endpoint: str
    control: str
    treatment: str
    primary: str
    guardrails: tuple[Guardrail, ...] = ()
    minimal_effect: float = 0.0
    alpha: float = 0.05
    power: float = 0.8
    method: Method = "always-valid"
    looks: int = 5
    expected_rows: int = TIGHTEST_AT
    hypothesis: str = ""
    started_at: datetime | None = None
    maximum_days: float = 0.0
    others: tuple[str, ...] = ()
    custom: tuple[CustomMetric, ...] = ()
    cap: float = 0.0
    covariates: tuple[str, ...] = ()
    correction: Correction = "holm"
    interval: Ends = "formula"
    segments: tuple[str, ...] = ()
    allocation: Allocation = "fixed"
    floor: float = bandit.FLOOR

    def __post_init__(self) -> None:
        """Refuse a design that cannot answer."""
        if self.control == self.treatment:
            raise UsageError(f"control and treatment are both {self.control!r}.", hint="Name two variants.")
        if len({self.control, self.treatment, *self.others}) < 2 + len(self.others):
            raise UsageError("a treatment is named twice, or is the control.", hint="Name each variant once.")
        if self.metric(self.primary).better == "same":
            raise UsageError(
                f"metric {self.primary!r} has no better direction, so it cannot decide.", hint="Take it as a guardrail."
            )
        for guardrail in self.guardrails:
            self.metric(guardrail.metric)
            if guardrail.metric == self.primary:
                raise UsageError(f"{self.primary!r} is the primary metric and a guardrail too.", hint="Keep one.")
            _within("tolerance", guardrail.tolerance, 0, None)
        for name in ("alpha", "power"):
            _within(name, getattr(self, name), 0, 1, open_ends=True)
        if self.method == "paired" and (self.others or self.covariates or self.cap):
            raise UsageError("a shadow's test has one treatment, no cap and no covariates: its pairs need none.")
        _within("maximum_days", self.maximum_days, 0, None)
        _within("minimal_effect", self.minimal_effect, 0, None)
        _within("looks", self.looks, 1, 1_000)
        _within("expected_rows", self.expected_rows, 10, None)
        if self.method not in METHODS:
            raise NotFound("method", self.method, METHODS)
        self._refuse_options()

    def _refuse_options(self) -> None:
        self._refuse_failed_rows()
        self._refuse_unheard()
        if self.cap:
            _within("cap", self.cap, 0.5, 1, open_ends=True)
        if self.correction not in get_args(Correction):
            raise NotFound("correction", self.correction, get_args(Correction))
        segmenting.check(self.segments)
        if self.allocation not in get_args(Allocation):
            raise NotFound("allocation", self.allocation, get_args(Allocation))
        if self.allocation == "thompson":
            bandit.check_floor(self.floor, 2 + len(self.others))
            if self.method != "always-valid":
                raise UsageError(
                    f"a bandit's shares move at any time, so it is read at any time; method is {self.method!r}.",
                    hint="Leave method, looks or expected_rows out.",
                )
        if self.interval not in get_args(Ends):
            raise NotFound("interval", self.interval, get_args(Ends))
        if self.interval == "bootstrap" and (self.method != "fixed" or self.covariates):
            raise UsageError("the bootstrap is read once: with method fixed, without covariates.")

    def _refuse_failed_rows(self) -> None:
        """Refuse a metric of rows that a model failed on where there can be none."""
        names = (self.primary, *(guardrail.metric for guardrail in self.guardrails))
        if self.method == "paired" and (counted := next(filter(self._counts_failed, names), "")):
            raise UsageError(
                f"{counted!r} cannot be read in pairs: a shadow is not asked what the control failed on.",
                hint="mlprod release watches a shadow's errors.",
            )
        if self.segments and self._counts_failed(self.primary):
            raise UsageError(
                f"{self.primary!r} cannot be compared by segments: what a model failed on left no inputs.",
                hint="Leave segments out.",
            )

    def _refuse_unheard(self) -> None:
        """Refuse rewards and interactions of a shadow, whose answers nobody gets."""
        if self.method == "paired" and (events := self.events()):
            raise UsageError(
                f"{events[0].metric!r} cannot be read in pairs: a shadow's answer reaches nobody, so nothing comes "
                "of it.",
                hint="Split the traffic: mlprod route ENDPOINT A=50 B=50",
            )

    def events(self) -> tuple[Event, ...]:
        """Return the rewards and interactions that its metrics are made of."""
        return events_of([self.primary, *(guardrail.metric for guardrail in self.guardrails)], self.custom)

    def _counts_failed(self, name: str) -> bool:
        own = {metric.name: metric for metric in self.custom}
        if name in own:
            return "failed" in expression.names(f"{own[name].value} {own[name].denominator}")
        return name == metrics.ErrorRate().name

    def metric(self, name: str) -> metrics.Metric:
        """Return one of the design's own metrics, or one that everybody has.

        Raises:
            NotFound: There is none of that name.
        """
        own = {metric.name: metric for metric in self.custom}
        return own[name].metric(self.custom) if name in own else metrics.find(name, own)

    def to_dict(self) -> dict[str, Any]:
        """Return the design as plain data, as the store keeps it."""
        return {**asdict(self), "started_at": self.started_at.isoformat() if self.started_at else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Design:
        """Read what :meth:`to_dict` gave."""
        values = dict(data)
        values["guardrails"] = tuple(Guardrail(**item) for item in values["guardrails"])
        values["custom"] = tuple(CustomMetric(**item) for item in values.get("custom", ()))
        values.update({name: tuple(values.get(name, ())) for name in ("others", "covariates", "segments")})
        values["started_at"] = datetime.fromisoformat(values["started_at"]) if values["started_at"] else None
        return cls(**values)

    def describe(self) -> str:
        """Say in one line how the answer is read."""
        how = {
            "always-valid": "always valid, by e-process or confidence sequence: look whenever you like",
            "paired": "in pairs on the shadow's requests, always valid: look whenever you like",
            "planned": f"alpha spending over {self.looks} planned looks up to {self.expected_rows:,} predictions",
            "fixed": f"fixed horizon: read once, at {self.expected_rows:,} predictions",
        }[self.method]
        started = f", started {self.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.started_at else ""
        treatments = " and ".join((self.treatment, *self.others))
        extra = f"; values cut at the {self.cap:.4g} quantile" if self.cap else ""
        extra += f"; covariates {', '.join(self.covariates)}" if self.covariates else ""
        extra += f"; segments by {' and '.join(self.segments)}" if self.segments else ""
        moving = f"; shares by Thompson sampling, {percent(self.floor, 0)} at least, read by period"
        extra += moving if self.allocation == "thompson" else ""
        extra += "; interval by bootstrap over units" if self.interval == "bootstrap" else ""
        return f"{treatments} against {self.control} on {self.primary}, alpha {self.alpha:g}; {how}{extra}{started}"


def _within(name: str, value: float, low: float, high: float | None, *, open_ends: bool = False) -> None:
    inside = low < value < (high or 1) if open_ends else value >= low and (high is None or value <= high)
    if not inside or value != value or value == float("inf"):
        if open_ends:
            raise UsageError(f"{name} is {value:g}; it lies between {low:g} and {high:g}.")
        raise UsageError(f"{name} is {value:g}; it is {low:g} or more" + (f", up to {high:g}." if high else "."))
