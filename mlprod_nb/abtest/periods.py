"""A split that was changed midway: compare within each period, then average the differences.

Rows pooled over periods with different shares are no comparison: whatever changed with time besides (a season, a base
rate) is then in one variant more than in the other, and passes for a difference (Simpson's paradox). In a period the
split is what it was, so each period's difference is an honest one, and so is their mean with the weights of Mantel and
Haenszel (1959, "Statistical aspects of the analysis of data from retrospective studies", Journal of the National Cancer
Institute 22) and Cochran (1954, "Some methods for strengthening the common chi-square tests", Biometrics 10): they
depend on counts alone, so a period that happens to look quiet does not weigh more. The weighted sum of differences is
a sum of independent parts that goes on where the last period stopped, so sequences and planned looks hold for it as
they do for one period.

A unit that a change of the split moved has met both variants, and what it met before may linger. So this is done only
where next to no unit moved: where units come once, or new ones mostly. Elsewhere the split that the test began with
counts alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Arm, Sample
from mlprod_nb.abtest.outcome import Outcome
from mlprod_nb.abtest.rows import PERIOD
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.abtest.srm import MOST_IN_TWO_VARIANTS
from mlprod_nb.results import percent

if TYPE_CHECKING:
    import pyarrow as pa

Shares = Mapping[str, float]
#: Fewer units than this in a variant of a period, and its difference does not count.
LEAST_UNITS = 30


@dataclass(frozen=True)
class Periods:
    """The rows that count, and under which splits they came.

    Attributes:
        table: The rows.
        splits: Each period's shares, by the number that its rows have; one entry where rows of one split count.
        notes: What does not count, and why.
    """

    table: pa.Table
    splits: Mapping[int, Shares]
    notes: tuple[str, ...] = ()


def usable(table: pa.Table, splits: Sequence[Shares], design: Design, outcome: Outcome) -> Periods:
    """Return the periods that can be compared: of all splits that give both variants traffic, or of the first alone.

    Args:
        table: Labelled predictions; with a column :data:`PERIOD` where there is more than one split.
        splits: The shares under which they came, the split that the test began with first.
        design: Of one treatment.
        outcome: What the endpoint predicts.
    """
    first = Periods(table, {0: splits[0]})
    if design.method == "paired" or PERIOD not in table.column_names:
        return first
    both = [at for at, shares in enumerate(splits) if min(_of(shares, design)) > 0]
    some = _of_periods(table, both)
    unshared = table.num_rows - some.num_rows
    notes = [f"{unshared:,} predictions came while one variant had no traffic; they do not count."] if unshared else []
    if len(both) < 2 or 0 not in both:
        return Periods(_of_periods(table, [0]), first.splits, tuple(notes))
    with open_scan(some, outcome) as scan:
        moved, units = scan.crossing(), sum(scan.units((design.control, design.treatment)).values())
    reason = f"{moved:,} units met both variants since" if moved > MOST_IN_TWO_VARIANTS * max(1, units) else ""
    reason = reason or ("a bootstrap draws from one split" if design.interval == "bootstrap" else "")
    if reason:
        kept = _of_periods(some, [0])
        later = some.num_rows - kept.num_rows
        notes.append(f"{later:,} predictions came after the split was changed; they do not count: {reason}.")
        return Periods(kept, first.splits, tuple(notes))
    told = "; then ".join(words(splits[at], design) for at in both)
    notes.append(
        f"The split was changed: {told}. The variants are compared within each of the {len(both)} periods, and the "
        "differences averaged with Mantel and Haenszel's weights."
    )
    return Periods(some, {at: splits[at] for at in both}, tuple(notes))


def combine(parts: Sequence[Mapping[str, Arm]], variants: tuple[str, str]) -> dict[str, Arm]:
    """Return one sample a variant whose difference is the mean of the periods' differences.

    Periods in which a variant has fewer than :data:`LEAST_UNITS` units do not count; where none has more, the largest
    stands for all.

    Args:
        parts: A metric per variant in each period.
        variants: The control and the treatment.
    """
    whole = [part for part in parts if all(name in part for name in variants)]
    enough = [part for part in whole if _fewest(part, variants) >= LEAST_UNITS]
    if not enough:
        most: Mapping[str, Arm] = max(whole or parts, key=lambda part: _fewest(part, variants))
        return dict(most)
    sizes = [[part[name].sample.units for name in variants] for part in enough]
    weights = [control * treatment / (control + treatment) for control, treatment in sizes]
    return {name: Arm(_mean([part[name].sample for part in enough], weights)) for name in variants}


def _mean(samples: Sequence[Sample], weights: Sequence[float]) -> Sample:
    """Return a sample with the weighted mean of the means, and with its variance over all units."""
    whole = sum(weights)
    units, rows = sum(sample.units for sample in samples), sum(sample.rows for sample in samples)
    pairs = [(weight / whole, sample) for weight, sample in zip(weights, samples, strict=True)]
    return Sample(
        units,
        rows,
        sum(weight * sample.mean for weight, sample in pairs),
        rows * sum(weight**2 * sample.row_variance / sample.rows for weight, sample in pairs),
        units * sum(weight**2 * sample.unit_variance / sample.units for weight, sample in pairs),
    )


def _fewest(part: Mapping[str, Arm], variants: tuple[str, str]) -> int:
    return min(part[name].sample.units if name in part else 0 for name in variants)


def _of_periods(table: pa.Table, numbers: Sequence[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table[PERIOD], value_set=pa.array(numbers, table[PERIOD].type)))


def _of(shares: Shares, design: Design) -> tuple[float, float]:
    return shares.get(design.control, 0.0), shares.get(design.treatment, 0.0)


def words(shares: Shares, design: Design) -> str:
    """Say a split in words."""
    return ", ".join(f"{name} {percent(shares[name])}" for name in (design.control, design.treatment))
