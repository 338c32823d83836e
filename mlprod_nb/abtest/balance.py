"""Did both variants get the same kind of requests? One test over all inputs together, valid at every look.

A unit is randomised, so the mean over a unit's requests of anything that was known before the answer has one
distribution in all variants. Taken are, of a numeric column, the ranks (location) and their squared distance from the
middle (spread); of a column of text, the shares of its frequent values; of any, how often it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.rows import PERIOD
from mlprod_nb.results import counted

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]

#: Below this always-valid p-value the inputs differ.
ALARM_BELOW = 0.001
#: Fewer units than this for each number that is compared, in the smaller variant, and nothing is said.
UNITS_PER_NUMBER = 10
#: Values of a text column beyond this many are not looked at, and none that fewer than this share of the rows have.
_MOST_VALUES, _LEAST_SHARE = 8, 0.02
#: Units for which the mixture is tuned: for gross differences, for ordinary and for small ones.
_TUNED_FOR = (100.0, 1_000.0, 10_000.0)
_COLLINEAR = 1e-9


@dataclass(frozen=True)
class Balance:
    """How the inputs of control and treatment compare.

    Attributes:
        units: Units that were compared.
        columns: Input columns that were compared.
        evidence: Logarithm of how much likelier the rows are if the inputs differ; 0 where nothing could be compared.
        farthest: The column that differs most.
        distance: By how many standard deviations of a unit it differs.
        obstacle: Why nothing could be compared, or empty.
    """

    units: int
    columns: int
    evidence: float = 0.0
    farthest: str = ""
    distance: float = 0.0
    obstacle: str = ""

    @property
    def p_value(self) -> float:
        """Always-valid, of all columns together."""
        return math.exp(-max(0.0, self.evidence))

    @property
    def differ(self) -> bool:
        """Whether the inputs differ."""
        return self.p_value < ALARM_BELOW

    def sentence(self) -> str:
        """Say what was found."""
        if self.obstacle:
            return f"not judged: {self.obstacle}"
        most = f"{self.farthest} differs most, by {self.distance:.2g} standard deviations (p = {self.p_value:.2g})"
        if self.differ:
            return f"the variants got different inputs: {most}"
        return f"{counted(self.columns, 'column')} of {counted(self.units, 'unit')}; {most}"


def compare(rows: pa.Table, control: str, treatment: str) -> Balance:
    """Compare the inputs of two variants.

    Hotelling's two-sample statistic (1931, Annals of Mathematical Statistics 2) on unit means, brought to the
    chi-square scale through its F distribution; its evidence is the mean over three normal mixtures (Robbins 1970), so
    the chance that it ever says so of units that were divided by chance is at most :data:`ALARM_BELOW`, as the number
    of units at the first look grows.

    Args:
        rows: Some predictions: ``variant``, ``unit``, ``prediction_id`` and ``inputs``, a struct of the columns.
        control: A variant.
        treatment: Another.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.filter(pc.is_in(rows["variant"], value_set=pa.array([control, treatment], pa.string())))
    if not rows.num_rows:
        return Balance(0, 0, obstacle="no request has come")
    inputs = rows["inputs"].combine_chunks()
    named = {field.name: inputs.field(at) for at, field in enumerate(inputs.type)}
    numbers = [(name, values) for name, column in named.items() for values in _numbers(column)]
    keys = pc.binary_join_element_wise(rows["variant"], pc.coalesce(rows["unit"], rows["prediction_id"]), "\0")
    codes = keys.combine_chunks().dictionary_encode()
    of_unit = codes.indices.to_numpy(zero_copy_only=False)
    treated = np.array([key.startswith(f"{treatment}\0") for key in codes.dictionary.to_pylist()])
    least = int(min(treated.sum(), (~treated).sum()))
    numbers = [(name, values) for name, values in numbers if np.ptp(values) > 0]
    if not numbers:
        return Balance(len(treated), 0, obstacle="no input varies")
    if least < UNITS_PER_NUMBER * len(numbers):
        wanted = UNITS_PER_NUMBER * len(numbers)
        return Balance(len(treated), len(named), obstacle=f"{least:,} units in one variant; {wanted:,} are needed")
    times = np.bincount(of_unit)
    means = np.column_stack([np.bincount(of_unit, weights=values) / times for _, values in numbers])
    return _judge([name for name, _ in numbers], means, treated, len(named))


def compare_within(rows: pa.Table, numbers: Sequence[int], control: str, treatment: str) -> Balance:
    """Compare the inputs of two variants within each period of a split that was changed.

    A period's units come after those of the period before, so the product of the periods' evidence is evidence again
    (optional continuation: Grünwald, de Heide and Koolen 2024, "Safe testing", Journal of the Royal Statistical Society
    B 86), and the chance of a false alarm at any look of any of them stays :data:`ALARM_BELOW`. Over all periods in one
    pot, what changed with time would be in one variant more than in the other.

    Args:
        rows: As of :func:`compare`, with a column ``period``.
        numbers: The periods.
        control: A variant.
        treatment: Another.
    """
    import pyarrow.compute as pc

    parts = [compare(rows.filter(pc.equal(rows[PERIOD], at)), control, treatment) for at in numbers]
    judged = [part for part in parts if not part.obstacle]
    if not judged:
        return max(parts, key=lambda part: part.units)
    most = max(judged, key=lambda part: part.evidence)
    units, evidence = sum(part.units for part in judged), sum(part.evidence for part in judged)
    return replace(most, units=units, evidence=evidence)


def _judge(names: list[str], means: Array, treated: NDArray[np.bool_], columns: int) -> Balance:
    from scipy.special import chdtri, logsumexp

    distance, _, rank, effective = _standardised(means, treated)
    statistic = float(chdtri(rank, max(chance_below(means, treated), 1e-300)))
    logs = []
    for tuned in _TUNED_FOR:
        growth = 4 * effective / tuned
        logs.append(-rank / 2 * math.log1p(growth) + growth / (2 * (1 + growth)) * statistic)
    evidence = float(logsumexp(logs)) - math.log(len(logs))
    worst = int(np.argmax(np.abs(distance)))
    return Balance(len(means), columns, evidence, names[worst], float(abs(distance[worst])))


def chance_below(means: Array, treated: NDArray[np.bool_]) -> float:
    """Return the p-value of Hotelling's statistic, read once; columns that others explain count for nothing."""
    from scipy.special import fdtrc

    distance, correlation, rank, effective = _standardised(means, treated)
    inverse = np.linalg.pinv(correlation, rcond=_COLLINEAR, hermitian=True)
    hotelling, freedom = effective * float(distance @ inverse @ distance), len(means) - 2
    return float(fdtrc(rank, freedom - rank + 1, hotelling * (freedom - rank + 1) / (freedom * rank)))


def _standardised(means: Array, treated: NDArray[np.bool_]) -> tuple[Array, Array, int, float]:
    """Return the differences in standard deviations, their correlation, its rank, and what the units are worth."""
    parts = means[~treated], means[treated]
    centred = np.concatenate([part - part.mean(axis=0) for part in parts])
    pooled = centred.T @ centred / (len(means) - 2)
    scale = np.sqrt(np.diag(pooled))
    scale[scale == 0] = np.inf
    distance: Array = (parts[1].mean(axis=0) - parts[0].mean(axis=0)) / scale
    correlation: Array = pooled / np.outer(scale, scale)
    rank = int(np.linalg.matrix_rank(correlation, tol=_COLLINEAR, hermitian=True))
    return distance, correlation, rank, len(parts[0]) * len(parts[1]) / len(means)


def _numbers(column: pa.Array) -> list[Array]:
    """Return what is compared of a column: one number a row each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False).astype(float)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        from scipy.stats import rankdata

        values = np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False))
        known = ~np.isnan(values)
        ranks = np.zeros(len(values))
        ranks[known] = rankdata(values[known]) / max(1, known.sum()) - 0.5
        return [ranks, np.where(known, ranks**2, 1 / 12), missing]
    text = pc.fill_null(column.cast(pa.string()), "")
    counted = sorted(text.value_counts().to_pylist(), key=lambda entry: (-entry["counts"], entry["values"]))
    kept = [entry["values"] for entry in counted[:_MOST_VALUES] if entry["counts"] >= _LEAST_SHARE * len(text)]
    return [pc.equal(text, value).to_numpy(zero_copy_only=False).astype(float) for value in kept] + [missing]
