"""Several treatments, segments, a changed split, a bandit: A/B tests, simulated; writes its section of STATISTICS.md.

The analysis corrects by Holm's procedure over intervals, at every look anew. Here it is simulated on counts: a look's
hypotheses are read at ``alpha / m``, those that fell are taken out, the ``k`` others are read again at ``alpha / k``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.abtest_statistics import ALPHA, ROWS, TUNED, Looks
from benchmarks.statistics_page import share, write_section
from mlprod_nb.abtest import Design, bandit, eprocess, intervals, periods, planned, proportions
from mlprod_nb.abtest.estimate import Arm, UnitSums

Flags = NDArray[np.bool_]
#: Reads simulated tests at one level; the flags have the shape of the counts.
Reader = Callable[[Looks, float], Flags]
RUNS, LOOKS = 2_000, 30


def exact(looks: Looks, alpha: float) -> Flags:
    """The exact e-process, read at every look."""
    return _evidence(looks, alpha, 0.5, TUNED)


def spending(looks: Looks, alpha: float) -> Flags:
    """Alpha spending over the planned looks."""
    limits = np.array(planned.boundaries(list(looks.fractions), alpha))
    score = np.abs(proportions.score_statistic(looks.counts, np.zeros_like(looks.counts.hits_control)))
    found: Flags = (np.minimum(score, proportions.deviance_root(looks.counts)) > limits) & looks.readable
    return found


READERS = {"exact e-process, open-ended": exact, "alpha spending, planned looks": spending}


def _evidence(looks: Looks, alpha: float, part: float, tuned: float) -> Flags:
    counts, tuning = looks.counts, eprocess.Tuning(alpha, part, tuned)
    flat = eprocess.Counts(*(getattr(counts, name).ravel() for name in counts.__dataclass_fields__))
    found: Flags = eprocess.log_evidence(flat, tuning).reshape(counts.hits_control.shape) >= tuning.needed
    return found & looks.readable


def step_down(looks: Looks, reader: Reader, count: int) -> Flags:
    """Return what falls at each look: runs by hypotheses by looks, where ``looks`` has runs times hypotheses."""

    @cache
    def at(left: int) -> Flags:
        return reader(looks, ALPHA / left).reshape(-1, count, looks.fractions.size)

    fell = at(count).copy()
    while True:
        left = count - fell.sum(axis=1)
        more = fell.copy()
        for k in np.unique(left[left > 0]):
            more |= at(int(k)) & (left == k)[:, None, :]
        if (more == fell).all():
            return fell
        fell = more


def _ever(found: Flags) -> str:
    """Return the share of runs in which any hypothesis falls at any look."""
    return share(int(found.any(axis=(1, 2)).sum()), len(found))


def _treatments(seed: int, chances: tuple[float, ...]) -> Looks:
    """Return the comparisons of several treatments with one control; an equal share each."""
    rng, arms = np.random.default_rng([11, seed]), len(chances)
    per = rng.multinomial(ROWS // LOOKS, np.full(arms, 1 / arms), (RUNS, LOOKS))
    hits, units = (np.cumsum(part, axis=1).astype(float) for part in (rng.binomial(per, chances), per))
    parts = [
        np.stack([values[..., 0 if name == "control" else at] for at in range(1, arms)], axis=1).reshape(-1, LOOKS)
        for name in ("control", "treatment")
        for values in (hits, units)
    ]
    return Looks(eprocess.Counts(*parts), ROWS * 2 // arms)


def treatments() -> Iterator[str]:
    yield f"### Three treatments and one control, {ROWS:,} rows, {LOOKS} looks: tests with a false call (wanted: 5 %)"
    yield ""
    yield "| how it is read | none differs, base 10 % | none differs, base 1 % | one does (10 to 13 %) | and is found |"
    yield "|---|---|---|---|---|"
    drawn = [
        _treatments(seed, chances) for seed, chances in enumerate([(0.1,) * 4, (0.01,) * 4, (0.1, 0.1, 0.1, 0.13)])
    ]
    for name, reader in READERS.items():
        fell = [step_down(looks, reader, 3) for looks in drawn]
        cells = [_ever(fell[0]), _ever(fell[1]), _ever(fell[2][:, :2]), _ever(fell[2][:, 2:])]
        yield f"| {name} | {' | '.join(cells)} |"
    plain = [exact(looks, ALPHA).reshape(-1, 3, LOOKS) for looks in drawn]
    cells = [_ever(plain[0]), _ever(plain[1]), _ever(plain[2][:, :2]), ""]
    yield f"| the same e-process without correction | {' | '.join(cells)} |"


def segments() -> Iterator[str]:
    count = 8
    yield f"### {count} segments of {ROWS // count:,} rows, {LOOKS} looks: tests with a false call (wanted: 5 %)"
    yield ""
    yield "| how it is read | none differs, base 10 % | none differs, base 1 % | two do (10 to 18 %) | and are found |"
    yield "|---|---|---|---|---|"

    def tuned(looks: Looks, alpha: float) -> Flags:
        return _evidence(looks, alpha, 0.5, TUNED / count)

    def draw(seed: int, chances: list[tuple[float, float]]) -> Looks:
        rng = np.random.default_rng([12, seed])
        drawn = [Looks.draw(rng, pair, RUNS, LOOKS, ROWS // count).counts for pair in chances]
        parts = [
            np.stack([getattr(one, name) for one in drawn], axis=1).reshape(-1, LOOKS)
            for name in drawn[0].__dataclass_fields__
        ]
        return Looks(eprocess.Counts(*parts), ROWS // count)

    families = [draw(0, [(0.1, 0.1)] * count), draw(1, [(0.01, 0.01)] * count)]
    families.append(draw(2, [(0.1, 0.18)] * 2 + [(0.1, 0.1)] * (count - 2)))
    for name, reader in {"exact e-process, open-ended": tuned, "alpha spending, planned looks": spending}.items():
        fell = [step_down(looks, reader, count) for looks in families]
        found = share(int(fell[2][:, :2].any(axis=2).sum()), 2 * RUNS)
        yield f"| {name} | {_ever(fell[0])} | {_ever(fell[1])} | {_ever(fell[2][:, 2:])} | {found} |"
    plain = [tuned(looks, ALPHA).reshape(-1, count, LOOKS) for looks in families]
    cells = [_ever(plain[0]), _ever(plain[1]), _ever(plain[2][:, 2:]), ""]
    yield f"| the same e-process without correction | {' | '.join(cells)} |"


def changed_splits() -> Iterator[str]:
    """A split of a half that becomes nine tenths halfway, while the base rate doubles."""
    yield f"### No difference, {LOOKS} looks; halfway the split goes from 50 to 90 %, and the base rate doubles"
    yield ""
    yield "| how it is read | base 10, then 20 % | base 1, then 2 % |"
    yield "|---|---|---|"
    calls: dict[str, list[str]] = {"compared by period": [], "in one pot": []}
    for seed, base in enumerate((0.1, 0.01)):
        found = np.array([_changed(np.random.default_rng([13, seed, run]), base) for run in range(RUNS // 2)])
        for name, column in zip(calls, found.T, strict=True):
            calls[name].append(share(int(column.sum()), len(column)))
    yield from (f"| {name} | {' | '.join(cells)} |" for name, cells in calls.items())


def _changed(rng: np.random.Generator, base: float) -> tuple[bool, bool]:
    """Return whether any look calls a difference: by period, and in one pot."""
    design, per = Design("e", "c", "t", "accuracy"), ROWS // LOOKS
    parts: list[dict[str, Arm]] = []
    sums, hits = np.zeros((2, 2), int), np.zeros((2, 2), int)
    ever = [False, False]
    for look in range(LOOKS):
        period = int(look >= LOOKS // 2)
        treated = int(rng.binomial(per, (0.5, 0.9)[period]))
        came = np.array([per - treated, treated])
        sums[period] += came
        hits[period] += rng.binomial(came, base * (1 + period))
        parts = [{"c": _once(n[0], h[0]), "t": _once(n[1], h[1])} for n, h in zip(sums, hits, strict=True) if n.all()]
        together = periods.combine(parts, ("c", "t")) if len(parts) > 1 else parts[0]
        pot = {"c": _once(sums[:, 0].sum(), hits[:, 0].sum()), "t": _once(sums[:, 1].sum(), hits[:, 1].sum())}
        for at, arms in enumerate((together, pot)):
            ever[at] = ever[at] or intervals.rejects(design, arms, alpha=ALPHA, share=0.5)
    return ever[0], ever[1]


def bandits() -> Iterator[str]:
    """Thompson's shares, moved at each look, with a floor of a tenth, while the base rate doubles."""
    runs = RUNS // 4
    yield f"### A bandit, {ROWS:,} rows, {LOOKS} looks that move its shares; the base rate grows from 10 to 20 %"
    yield ""
    for words, gain in (("without a difference", 0.0), ("two points better", 0.02)):
        found = np.array([_bandit(np.random.default_rng([14, run]), gain, run) for run in range(runs)])
        by_period, in_one_pot = (share(int(column.sum()), runs) for column in found.T[:2])
        yield f"- {words}, compared by period: {by_period} are called different; in one pot: {in_one_pot}"
        yield f"- {words}: the treatment gets {found[:, 2].mean():.0%} of the traffic"


def _bandit(rng: np.random.Generator, gain: float, seed: int) -> tuple[bool, bool, float]:
    """Return whether any look calls a difference, by period and in one pot, and the treatment's part of the traffic."""
    design, per = Design("e", "c", "t", "accuracy", allocation="thompson"), ROWS // LOOKS
    parts: list[dict[str, Arm]] = []
    units, hits = np.zeros(2, int), np.zeros(2, int)
    ever, part = [False, False], 0.5
    for look in range(LOOKS):
        treated = int(rng.binomial(per, part))
        came = np.array([per - treated, treated])
        new = rng.binomial(came, 0.1 * (1 + look / LOOKS) + np.array([0.0, gain]))
        parts.append({"c": _once(came[0], new[0]), "t": _once(came[1], new[1])})
        units, hits = units + came, hits + new
        pot = {"c": _once(units[0], hits[0]), "t": _once(units[1], hits[1])}
        for at, arms in enumerate((periods.combine(parts, ("c", "t")), pot)):
            ever[at] = ever[at] or intervals.rejects(design, arms, alpha=ALPHA, share=0.5)
        earned = {name: bandit.Reward(int(h), int(n)) for name, h, n in zip("ct", hits, units, strict=True)}
        part = bandit.allocate(earned, floor=design.floor, seed=1_000 * seed + look)["t"]
    return ever[0], ever[1], float(units[1] / units.sum())


def _once(units: int, hits: int) -> Arm:
    units, hits = int(units), int(hits)
    variance = hits * (units - hits) / units / max(1, units - 1)
    return UnitSums(units, units, hits, hits, variance, 0.0, 0.0).arm()


def main() -> None:
    """Simulate all, and write the section."""
    start, lines = time.process_time(), []
    for part in (treatments, segments, changed_splits, bandits):
        lines += [*part(), ""]
    lines.append(f"{time.process_time() - start:.0f} CPU seconds on one core.")
    write_section("A/B tests of several questions", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
