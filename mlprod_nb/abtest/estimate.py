"""From sums over units to a difference of means: pure functions on a few numbers.

A unit (an aircraft, a customer) is randomised once and brings many predictions, which resemble each other. So the mean
over predictions is a ratio of two sums over units, and its variance comes from the delta method: the variance of
``(sum_i - mean * rows_i) / mean_rows`` over the units (Deng, Knoblich and Lu 2018, "Applying the delta method in metric
analytics"). Treating predictions as independent instead gives far too many false alarms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Relative size below which a variance is rounding error.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Sample:
    """One metric in one variant.

    Attributes:
        units: Units with at least one prediction that counts.
        rows: Predictions that count.
        mean: Mean over the predictions, in the metric's units.
        row_variance: Variance over the predictions, as if each were on its own.
        unit_variance: Variance of the linearised unit scores; ``unit_variance / units`` is the mean's variance.
    """

    units: int
    rows: int
    mean: float
    row_variance: float
    unit_variance: float


@dataclass(frozen=True)
class Arm:
    """One metric in one variant, with what decides how it is read.

    Attributes:
        sample: The metric's mean and variances.
        hits: Units that succeeded, where the metric is a proportion of units that came once; ``None`` elsewhere.
    """

    sample: Sample
    hits: int | None = None


@dataclass(frozen=True)
class UnitSums:
    """Sums over the units of one variant, as the scan gives them: rows per unit ``n``, sum of values per unit ``s``.

    Attributes:
        units: Number of units with ``n > 0``.
        rows: Sum of ``n``.
        total: Sum of ``s``.
        squares: Sum of the squared values over all rows.
        variance_total: Sample variance of ``s`` over the units.
        variance_rows: Sample variance of ``n``.
        covariance: Sample covariance of ``s`` and ``n``.
    """

    units: int
    rows: int
    total: float
    squares: float
    variance_total: float
    variance_rows: float
    covariance: float

    def arm(self) -> Arm:
        """Return the sample, and the hits where every unit came once and its value was 0 or 1."""
        # v * v = v only for 0 and 1; elsewhere the two sums agree, and are whole, by no accident that rounding leaves.
        once = self.units == self.rows and self.squares == self.total and float(self.total).is_integer()
        return Arm(self.sample(), int(self.total) if once and 0 <= self.total <= self.rows else None)

    def sample(self) -> Sample:
        """Return the mean and its variances; needs at least one row."""
        mean = self.total / self.rows
        mean_rows = self.rows / self.units
        row_variance = max(0.0, self.squares - self.total * mean) / max(1, self.rows - 1)
        scale = self.variance_total + mean * mean * self.variance_rows
        spread = self.variance_total - 2 * mean * self.covariance + mean * mean * self.variance_rows
        if spread <= _ROUNDING * scale:
            spread = 0.0
        if row_variance <= _ROUNDING * self.squares / self.rows:
            row_variance = 0.0
        return Sample(self.units, self.rows, mean, row_variance, spread / mean_rows**2)


@dataclass(frozen=True)
class Difference:
    """Treatment against control on one metric.

    Attributes:
        control: The control's sample.
        treatment: The treatment's sample.
    """

    control: Sample
    treatment: Sample

    @property
    def value(self) -> float:
        """Treatment's mean minus control's."""
        return self.treatment.mean - self.control.mean

    @property
    def standard_error(self) -> float:
        """Standard error of the difference, each variant with its own variance."""
        return math.sqrt(
            self.control.unit_variance / self.control.units + self.treatment.unit_variance / self.treatment.units
        )

    @property
    def guarded_error(self) -> float:
        """Standard error in which no variant's variance is below the pooled one.

        A small variant that has met no rare event yet shows a variance of 0, which would make the first looks of a
        sequence far too sure. Both variants have one variance where there is no difference, so the guard costs nothing
        there; it vanishes as the variances agree.
        """
        control, treatment = self.control, self.treatment
        units = control.units + treatment.units
        pooled = (control.units * control.unit_variance + treatment.units * treatment.unit_variance) / units
        return math.sqrt(
            max(control.unit_variance, pooled) / control.units + max(treatment.unit_variance, pooled) / treatment.units
        )

    @property
    def effective_rows(self) -> float:
        """The number of independent predictions that would give the same standard error: rows over design effect.

        It is the clock of the sequential methods. Unlike the number of units it keeps running while the same units
        come back, and unlike the number of rows it stands still where they bring nothing new.
        """
        control, treatment = self.control, self.treatment
        rows = control.rows + treatment.rows
        pooled = (control.rows * control.row_variance + treatment.rows * treatment.row_variance) / rows
        one_row = pooled * rows * (1 / control.rows + 1 / treatment.rows)
        return one_row / self.guarded_error**2


@dataclass(frozen=True)
class Interval:
    """An interval for a difference.

    Attributes:
        lower: Its lower end, in the metric's units.
        upper: Its upper end.
    """

    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether no difference is ruled out."""
        return self.lower > 0 or self.upper < 0
