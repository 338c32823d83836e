"""The error rates, powers and widths of A/B tests by seeded simulation; writes its section of STATISTICS.md."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics_page import share, write_section
from mlprod_nb.abtest import covariates, eprocess, mixture, paired, planned, proportions, sequential, srm
from mlprod_nb.abtest.futility import LEAST_CONDITIONAL_POWER

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
ALPHA = 0.05
TUNED = sequential.TIGHTEST_AT
BASES = (0.1, 0.01)
#: Looks, and tests simulated with that many looks.
PLANS = ((30, 4_000), (1_000, 1_000))
#: 10 against 11 %: a fixed test of this many rows finds it with a chance of 0.83.
ROWS, CHANCES = 32_000, (0.1, 0.11)


@dataclass(frozen=True)
class Looks:
    """Simulated tests: hits and units of both variants, runs by looks; each row is its own unit."""

    counts: eprocess.Counts
    rows: int

    @classmethod
    def draw(cls, rng: np.random.Generator, chances: tuple[float, float], runs: int, looks: int, rows: int) -> Looks:
        per = rows // looks
        treated = rng.binomial(per, 0.5, (runs, looks))
        parts = rng.binomial(per - treated, chances[0]), per - treated, rng.binomial(treated, chances[1]), treated
        return cls(eprocess.Counts(*(np.cumsum(part, axis=1).astype(float) for part in parts)), rows)

    @property
    def fractions(self) -> Array:
        looks = self.counts.units_control.shape[1]
        return np.arange(1, looks + 1) / looks

    @property
    def readable(self) -> Flags:
        """No method is read before each variant has 30 units, as in the analysis."""
        found: Flags = np.minimum(self.counts.units_control, self.counts.units_treatment) >= 30
        return found


def exact(looks: Looks) -> Flags:
    counts, tuning = looks.counts, eprocess.Tuning(ALPHA, 0.5, TUNED)
    flat = eprocess.Counts(*(getattr(counts, name).ravel() for name in counts.__dataclass_fields__))
    found: Flags = eprocess.log_evidence(flat, tuning).reshape(counts.hits_control.shape) >= tuning.needed
    return found & looks.readable


def asymptotic(looks: Looks) -> Flags:
    _, _, error, difference = _moments(looks)
    counts = looks.counts
    time_ = (counts.units_control + counts.units_treatment) / TUNED
    # One boundary a look: the clock is the same in all runs, to the rounding of the split.
    limit = mixture.boundary(time_.mean(axis=0), ALPHA)
    found: Flags = (np.abs(difference) > limit * error) & looks.readable
    return found


def spending(looks: Looks) -> Flags:
    limits = np.array(planned.boundaries(list(looks.fractions), ALPHA))
    score = np.abs(proportions.score_statistic(looks.counts, np.zeros_like(looks.counts.hits_control)))
    found: Flags = (np.minimum(score, proportions.deviance_root(looks.counts)) > limits) & looks.readable
    return found


def peeked(looks: Looks) -> Flags:
    _, _, error, difference = _moments(looks)
    found: Flags = (np.abs(difference) > 1.959964 * error) & looks.readable
    return found


def fixed(looks: Looks) -> Flags:
    last = eprocess.Counts(*(getattr(looks.counts, n)[:, -1] for n in looks.counts.__dataclass_fields__))
    found: Flags = (proportions.p_value(last) <= ALPHA)[:, None]
    return found


def relative_normal(looks: Looks) -> Flags:
    """GrowthBook's sequential mode: Robbins' normal mixture tuned at 5,000 rows, on the relative lift."""
    p_c, p_t, _, _ = _moments(looks)
    counts = looks.counts
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = p_t / p_c - 1
        error = np.sqrt(
            p_t * (1 - p_t) / counts.units_treatment / p_c**2 + p_c * (1 - p_c) / counts.units_control * p_t**2 / p_c**4
        )
        n, tuned = counts.units_control + counts.units_treatment, 5_000
        rho = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / tuned
        half = error * np.sqrt((n * rho + 1) / (n * rho) * np.log((n * rho + 1) / ALPHA**2))
        found: Flags = (np.abs(lift) > half) & np.isfinite(lift) & (error > 0)
    return found


def _moments(looks: Looks) -> tuple[Array, Array, Array, Array]:
    counts = looks.counts
    n_c, n_t = counts.units_control, np.maximum(counts.units_treatment, 1.0)
    p_c, p_t = counts.hits_control / np.maximum(n_c, 1.0), counts.hits_treatment / n_t
    var_c, var_t = p_c * (1 - p_c), p_t * (1 - p_t)
    pooled = (n_c * var_c + n_t * var_t) / (n_c + n_t)
    error = np.sqrt(np.maximum(var_c, pooled) / np.maximum(n_c, 1) + np.maximum(var_t, pooled) / n_t)
    return p_c, p_t, np.maximum(error, 1e-12), p_t - p_c


MODES: Mapping[str, Callable[[Looks], Flags]] = {
    "exact e-process (proportions, open-ended)": exact,
    "confidence sequence (everything else, open-ended)": asymptotic,
    "alpha spending (planned looks)": spending,
    "fixed, read once": fixed,
    "peer: a fixed test, peeked at": peeked,
    "peer: normal mixture on the relative lift": relative_normal,
}


def false_alarms() -> Iterator[str]:
    yield f"### No difference, {ROWS:,} rows: share of tests that ever say there is one (wanted: 5 % and two errors)"
    yield ""
    yield (
        "| how it is read | " + " | ".join(f"{looks:,} looks, base {b:.0%}" for looks, _ in PLANS for b in BASES) + " |"
    )
    yield "|---|" + "---|" * (len(PLANS) * len(BASES))
    cells: dict[str, list[str]] = {name: [] for name in MODES}
    for seed, (looks, runs) in enumerate(PLANS):
        for base in BASES:
            rng = np.random.default_rng([1, seed, int(base * 100)])
            found = Looks.draw(rng, (base, base), runs, looks, ROWS)
            for name, mode in MODES.items():
                cells[name].append(share(int(mode(found).any(axis=1).sum()), runs))
    yield from (f"| {name} | {' | '.join(row)} |" for name, row in cells.items())


def powers() -> Iterator[str]:
    runs, looks = 4_000, 30
    found = Looks.draw(np.random.default_rng(2), CHANCES, runs, looks, ROWS)
    yield f"### {CHANCES[0]:.0%} against {CHANCES[1]:.0%}, {ROWS:,} rows, {looks} looks: share of tests that find it"
    yield ""
    for name, mode in MODES.items():
        if mode is not peeked:
            yield f"- {name}: {share(int(mode(found).any(axis=1).sum()), runs)}"
    stopped, hit = _with_futility(found)
    of_fixed = hit.mean() / fixed(found).mean()
    traffic = stopped.mean()
    yield f"- alpha spending that stops for futility: {of_fixed:.3f} of fixed power with {traffic:.3f} of its traffic"
    width = mixture.boundary(np.array([0.4, 1.0, ROWS / TUNED, 4.0]), ALPHA) / 1.959964
    told = ", ".join(f"{w:.2f}" for w in width)
    yield f"- confidence sequence against fixed, width at 0.4, 1, {ROWS / TUNED:.1f} and 4 times its tuning: {told}"


def _with_futility(looks: Looks) -> tuple[Array, Flags]:
    from scipy.special import ndtr

    hits, done = spending(looks), looks.fractions
    limit = planned.boundaries(list(done), ALPHA)[-1]
    score = proportions.score_statistic(looks.counts, np.zeros_like(looks.counts.hits_control))
    _, _, error, _ = _moments(looks)
    drift = (CHANCES[1] - CHANCES[0]) / error / np.sqrt(done)
    left = np.sqrt(np.maximum(1 - done, 1e-12))
    futile = ndtr((score * np.sqrt(done) + drift * (1 - done) - limit) / left) < LEAST_CONDITIONAL_POWER
    futile[:, -1] = True
    first = (hits | futile).argmax(axis=1)
    found: Flags = hits[np.arange(len(hits)), first]
    return done[first], found


def coverage() -> Iterator[str]:
    from scipy.stats import binom

    yield "### Coverage of the fixed interval, exact (wanted: 0.945 to 0.97)"
    yield ""
    for chances in ((0.1, 0.11), (0.01, 0.01), (0.01, 0.013), (0.002, 0.002), (0.002, 0.004)):
        for units in ((5_000, 5_000), (9_000, 1_000), (16_000, 16_000)):
            spans = [
                np.arange(binom.ppf(1e-5, n, p), binom.isf(1e-5, n, p) + 1) for n, p in zip(units, chances, strict=True)
            ]
            control, treatment = (grid.ravel() for grid in np.meshgrid(*spans, indexing="ij"))
            n_c, n_t = (np.full(len(control), float(n)) for n in units)
            lower, upper = proportions.bounds(eprocess.Counts(control, n_c, treatment, n_t), ALPHA)
            weight = binom.pmf(control, units[0], chances[0]) * binom.pmf(treatment, units[1], chances[1])
            held = weight[(lower <= chances[1] - chances[0]) & (chances[1] - chances[0] <= upper)].sum()
            yield f"- {chances[0]:.1%} against {chances[1]:.1%}, {units[0]:,} and {units[1]:,} units: {held:.4f}"


def shadows() -> Iterator[str]:
    runs, requests = 2_000, 4_500
    rng = np.random.default_rng(3)
    yield f"### A shadow's {requests:,} requests, 6 % discordant, 80 against 82 % right"
    yield ""
    needed = -math.log(0.95 * ALPHA)
    for name, chances in (("with the difference", (0.04, 0.02)), ("without one", (0.03, 0.03))):
        ever, stops = 0, []
        for _ in range(runs // 200):
            draw = rng.random((200, requests))
            wins = np.cumsum(draw < chances[0], axis=1).astype(float)
            losses = np.cumsum((draw >= chances[0]) & (draw < sum(chances)), axis=1).astype(float)
            crossed = paired.log_evidence(wins, losses) >= needed
            ever += int(crossed.any(axis=1).sum())
            stops += list(crossed.argmax(axis=1)[crossed.any(axis=1)] + 1)
        mean = f", after {np.mean(stops):,.0f} requests on average" if chances[0] > chances[1] else ""
        yield f"- exact always-valid paired test {name}: {share(ever, runs)}{mean}"
    wins, losses = rng.multinomial(requests, [0.04, 0.02, 0.94], runs).T[:2]
    found = sum(
        paired.mcnemar(paired.Discordant(int(w), int(x), requests)).exact <= ALPHA
        for w, x in zip(wins, losses, strict=True)
    )
    yield f"- McNemar's exact test, read once: {share(found, runs)}"
    half = np.full(runs, requests / 2)
    split = eprocess.Counts(
        rng.binomial(requests // 2, 0.8, runs) * 1.0, half, rng.binomial(requests // 2, 0.82, runs) * 1.0, half
    )
    yield f"- the same traffic as a split, fixed test: {share(int((proportions.p_value(split) <= ALPHA).sum()), runs)}"


def ratios() -> Iterator[str]:
    from scipy.special import chdtrc

    runs, looks, per = 4_000, 1_000, 30
    yield f"### Sample ratio, {looks:,} looks at 0.001 (wanted: at most 0.0025)"
    yield ""
    rng, expected = np.random.default_rng(4), np.array([0.9, 0.1])
    sequential_, chi = 0, 0
    for _ in range(runs // 500):
        treated = np.cumsum(rng.binomial(per, expected[1], (500, looks)), axis=1)
        total = per * np.arange(1, looks + 1)
        counts = np.stack([total - treated, treated], axis=-1).astype(float)
        sequential_ += int((srm.log_evidence(counts, expected) >= -math.log(srm.ALARM_BELOW)).any(axis=1).sum())
        statistic = (treated - 0.1 * total) ** 2 / (total * 0.09)
        chi += int((chdtrc(1, statistic) < srm.ALARM_BELOW).any(axis=1).sum())
    yield f"- sequential multinomial test: {share(sequential_, runs)}"
    yield f"- peer: chi-square, peeked at: {share(chi, runs)}"


def variance() -> Iterator[str]:
    rng, units = np.random.default_rng(5), 50_000
    arms = {}
    for name in ("control", "treatment"):
        before = rng.normal(0, 1, (units, 2))
        value = 0.7 * before.sum(axis=1) / math.sqrt(2) + math.sqrt(0.51) * rng.normal(0, 1, units)
        arms[name] = covariates.UnitMoments.of(np.ones(units), value, before, float(value @ value))
    kept = covariates.variance_kept(arms, covariates.adjust(arms))
    yield "### Covariates"
    yield ""
    yield f"- two covariates, correlation 0.7 together: {kept:.3f} of the variance stays (wanted: at most 0.52)"


def boundaries() -> Iterator[str]:
    yield "### Boundaries, computed anew"
    yield ""
    planned.boundaries([1.0], 0.049)
    for looks in (30, 100, 1_000):
        start = time.process_time()
        planned.boundaries([(k + 1) / looks for k in range(looks)], 0.0501)
        yield f"- {looks:,} looks: {1_000 * (time.process_time() - start):.1f} ms"


def main() -> None:
    start, lines = time.process_time(), []
    for part in (false_alarms, powers, coverage, shadows, ratios, variance, boundaries):
        lines += [*part(), ""]
    lines.append(f"{time.process_time() - start:.0f} CPU seconds on one core.")
    write_section("A/B tests", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
