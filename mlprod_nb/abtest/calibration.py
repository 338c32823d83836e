"""A/A calibration: how often is the analysis wrong on these very data, where no variant is better?

The test's own units are divided by chance again and again, so that nothing differs but luck, and each division is read
as the design says, at every one of its looks. The share of divisions in which a difference is called is the real rate
of false alarms here, with these units, this metric and this skew (Kohavi, Tang and Xu 2020, "Trustworthy online
controlled experiments", chapter 19).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import intervals
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import UnitSums
from mlprod_nb.abtest.intervals import Arms
from mlprod_nb.abtest.outcome import Outcome, Statistic
from mlprod_nb.abtest.reading import PATH_POINTS
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import Refused
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.results import Result, Verdict, percent

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]

#: More units than this are thinned by chance, and more divisions refused, so that it ends in a minute or two.
MOST_UNITS, MOST_RUNS = 100_000, 10_000
_BATCH = 50
_SEED = 20_130_401


@dataclass(frozen=True)
class AAResult(Result):
    """How often the analysis calls a difference where there is none.

    Attributes:
        verdict: Alarm where the rate is certainly above alpha.
        design: How each division was read.
        metric: The metric.
        runs: Divisions by chance.
        looks: Looks at each.
        false_alarms: Divisions in which some look called a difference.
        rate: Their share.
        rate_lower: Lower end of its 95 % interval.
        rate_upper: Upper end.
        units: Units that were divided.
        rows: Predictions of theirs that count.
        seed: Of the random numbers: the same rows and seed give the same rate.
    """

    verdict: Verdict
    design: str
    metric: str
    runs: int
    looks: int
    false_alarms: int
    rate: float
    rate_lower: float
    rate_upper: float
    units: int
    rows: int
    seed: int

    _hidden: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class _Grown:
    """Rows, sum and sum of squares of each unit up to each look; shape units by looks."""

    rows: Array
    totals: Array
    squares: Array

    def numbers(self) -> Array:
        """Return what the sums of an arm are sums of, units by looks times seven."""
        n, s = self.rows, self.totals
        numbers: Array = np.concatenate([(n > 0).astype(float), n, s, self.squares, n * n, s * s, n * s], axis=1)
        return numbers


def run(
    table: pa.Table,
    design: Design,
    outcome: Outcome,
    shares: Mapping[str, float],
    *,
    runs: int,
    seed: int = _SEED,
    progress: Progress = SILENCE,
) -> AAResult:
    """Divide the test's units by chance, and read each division as the design says.

    Args:
        table: Labelled predictions of the test, as :func:`mlprod_nb.abtest.analyse` takes them.
        design: The design; its method decides at which looks a division is read.
        outcome: What the endpoint predicts.
        shares: Each variant's share of the traffic.
        runs: How many divisions.
        seed: Of the random numbers.
        progress: Told how many divisions have been read.

    Raises:
        Refused: The design reads pairs, the metric is no mean, or too little has come in.
    """
    metric = design.metric(design.primary)
    if design.method == "paired":
        raise Refused("a shadow's test divides no units, so there is nothing to divide by chance.")
    if isinstance(metric, Statistic):
        raise Refused(f"{metric.name} is no mean of one number per prediction; divisions by chance are read for means.")
    if not 1 <= runs <= MOST_RUNS:
        raise Refused(f"{runs:,} divisions are asked; between 1 and {MOST_RUNS:,} can be made.")
    with open_scan(table, outcome) as scan:
        grown = _grow(design, *scan.by_unit(metric, (design.control, design.treatment)), seed)
    if grown is None or len(grown.rows) < 2 * intervals.LEAST_UNITS:
        few = 0 if grown is None else len(grown.rows)
        raise Refused(f"{few} units have a value of {metric.name}; {2 * intervals.LEAST_UNITS} are needed.")
    control, treatment = (shares.get(name, 0.0) for name in (design.control, design.treatment))
    share = treatment / (control + treatment) if control > 0 and treatment > 0 else 0.5
    progress.step(f"dividing {len(grown.rows):,} units by chance")
    alarms = 0
    for done, looks in enumerate(_divisions(design, grown, share, runs, seed), start=1):
        alarms += _calls(design, looks, share)
        progress.at(done, runs)
    return _result(design, grown, alarms, runs, seed)


def _grow(
    design: Design, units: NDArray[np.int64], times: NDArray[np.int64], values: Array, seed: int
) -> _Grown | None:
    """Return what each unit has brought at each look; ``None`` where the first look is not reached."""
    if not len(values):
        return None
    order = np.argsort(times, kind="stable")
    units, values, times = units[order], values[order], times[order]
    if design.method == "always-valid":
        wanted = [len(values) * (k + 1) / PATH_POINTS for k in range(PATH_POINTS)]
    else:
        looks = design.looks if design.method == "planned" else 1
        wanted = [design.expected_rows * (k + 1) / looks for k in range(looks)]
    ends = sorted({times[int(np.ceil(count)) - 1] for count in wanted if 1 <= np.ceil(count) <= len(values)})
    if not ends:
        raise Refused(f"the first look is at {int(np.ceil(wanted[0])):,} predictions; {len(values):,} are there.")
    _, codes = np.unique(units, return_inverse=True)
    count = int(codes.max()) + 1
    if count > MOST_UNITS:
        kept = (np.random.default_rng(seed).random(count) < MOST_UNITS / count)[codes]
        codes, values, times = np.unique(codes[kept], return_inverse=True)[1], values[kept], times[kept]
        count = int(codes.max()) + 1
    step = np.searchsorted(ends, times, side="left")
    cell, inside = codes * len(ends) + step, step < len(ends)
    cell, values = cell[inside], values[inside]
    parts = [
        np.bincount(cell, weights=weights, minlength=count * len(ends)).reshape(count, len(ends)).cumsum(axis=1)
        for weights in (np.ones(len(values)), values, values * values)
    ]
    met = parts[0][:, -1] > 0
    return _Grown(*(part[met] for part in parts))


def _divisions(design: Design, grown: _Grown, share: float, runs: int, seed: int) -> Iterator[list[Arms]]:
    """Yield both variants' samples at each look of each division; the sums of a batch are one product of matrices."""
    rng, numbers, looks = np.random.default_rng(seed), grown.numbers(), grown.rows.shape[1]
    whole = numbers.sum(axis=0)
    for start in range(0, runs, _BATCH):
        chosen = rng.random((min(_BATCH, runs - start), len(numbers))) < share
        treated = chosen.astype(float) @ numbers
        for sums in treated:
            arms = {design.control: whole - sums, design.treatment: sums}
            parts = {name: _samples(part.reshape(7, looks)) for name, part in arms.items()}
            yield [
                {name: found.arm() for name, samples in parts.items() if (found := samples[at]) is not None}
                for at in range(looks)
            ]


def _samples(sums: Array) -> list[UnitSums | None]:
    return [_unit_sums(*numbers) if numbers[1] else None for numbers in sums.T.tolist()]


def _unit_sums(units: float, n: float, s: float, squares: float, nn: float, ss: float, ns: float) -> UnitSums:
    spare = max(1.0, units - 1)
    spread = max(0.0, ss - s * s / units) / spare, max(0.0, nn - n * n / units) / spare
    return UnitSums(round(units), round(n), s, squares, *spread, (ns - n * s / units) / spare)


def _calls(design: Design, looks: Sequence[Arms], share: float) -> bool:
    """Return whether some look calls a difference."""
    if design.method == "planned":
        return any(
            read is not None and read.interval.excludes_zero
            for read in intervals.at_looks(design, looks, alpha=design.alpha)
        )
    if design.method == "fixed":
        reads = (intervals.once(design, arms, alpha=design.alpha) for arms in looks)
        return any(read is not None and read.interval.excludes_zero for read in reads)
    return any(intervals.rejects(design, arms, alpha=design.alpha, share=share) for arms in looks)


def _result(design: Design, grown: _Grown, alarms: int, runs: int, seed: int) -> AAResult:
    from scipy.special import betaincinv

    # Clopper and Pearson (1934, Biometrika 26).
    low = float(betaincinv(alarms, runs - alarms + 1, 0.025)) if alarms else 0.0
    high = float(betaincinv(alarms + 1, runs - alarms, 0.975)) if alarms < runs else 1.0
    rate, looks = alarms / runs, grown.rows.shape[1]
    words = (
        f"of {runs:,} divisions by chance, read at {looks} {'look' if looks == 1 else 'looks'} each, {alarms:,} call a "
        f"difference: {percent(rate)} (95 % interval {percent(low)} to {percent(high)}), and alpha is "
        f"{percent(design.alpha)}"
    )
    sure = low > design.alpha
    verdict = Verdict("alarm", f"the analysis cries wolf here: {words}.") if sure else Verdict("ok", f"{words}.")
    return AAResult(
        verdict=verdict,
        design=design.describe(),
        metric=design.primary,
        runs=runs,
        looks=looks,
        false_alarms=alarms,
        rate=rate,
        rate_lower=low,
        rate_upper=high,
        units=len(grown.rows),
        rows=int(grown.rows[:, -1].sum()),
        seed=seed,
    )
