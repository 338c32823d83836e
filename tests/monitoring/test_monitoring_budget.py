from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks import monitoring_power, monitoring_statistics, statistics_page
from benchmarks import monitoring_years as years
from mlprod_nb import settings
from mlprod_nb.errors import UsageError
from mlprod_nb.monitoring import drift
from mlprod_nb.monitoring.budget import Budget, Spending
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import choose
from mlprod_nb.monitoring.detectors.location import Location
from mlprod_nb.monitoring.detectors.missing import MissingRate
from mlprod_nb.monitoring.pooling import pools
from mlprod_nb.monitoring.power import findable, spending
from tests.monitoring.counted import counts

JANUARY = datetime(2013, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def spent(since: datetime | None, until: datetime | None, budget: Budget | None = None) -> Spending:
    return spending(budget or Budget(), 10_000, (), 100, since, until)


# -- what is spent --------------------------------------------------------------------------------------------------


def test_a_look_spends_its_part_and_says_what_the_year_has_left() -> None:
    found = spent(JANUARY + 3 * WEEK, JANUARY + 4 * WEEK)
    assert found.this_look == pytest.approx(0.05 / 52)
    assert found.looks_so_far == 4
    assert found.spent == pytest.approx(4 * 0.05 / 52)
    assert found.left == pytest.approx(48 * 0.05 / 52)
    assert found.note == ""


def test_the_last_look_of_a_year_belongs_to_it() -> None:
    end = datetime(2014, 1, 1, tzinfo=UTC)
    assert spent(end - WEEK, end).looks_so_far == 53
    assert spent(end - timedelta(days=365), end).looks_so_far == 1


def test_windows_shorter_than_the_plan_are_said_to_break_it() -> None:
    found = spent(JANUARY, JANUARY + timedelta(days=1))
    assert "365 looks a year where 52 are planned" in found.note
    assert "up to 35 %" in found.note
    assert spent(JANUARY, JANUARY + timedelta(days=1), Budget(0.05, 365)).note == ""


def test_a_window_without_an_end_says_nothing_of_the_year() -> None:
    assert spent(JANUARY, None).spent is None


def test_the_settings_of_an_endpoint_set_its_budget(tmp_path: Any) -> None:
    (tmp_path / "mlprod.toml").write_text("[endpoints.flights.monitor]\nyearly_alpha = 0.1\nlooks_per_year = 365\n")
    found = settings.load(tmp_path).endpoint("flights").monitor
    assert (found.yearly_alpha, found.looks_per_year) == (0.1, 365)
    assert settings.load(tmp_path).endpoint("other").monitor.yearly_alpha == 0.05
    (tmp_path / "mlprod.toml").write_text("[endpoints.flights.monitor]\nyearly_alpha = 1.5\n")
    with pytest.raises(UsageError, match="yearly_alpha"):
        settings.load(tmp_path)


# -- what can be found ----------------------------------------------------------------------------------------------


def test_the_smallest_shift_is_found_with_the_chance_that_is_stated() -> None:
    random = np.random.default_rng(1)
    alpha, runs = 1e-4, 300
    smallest = findable(4000, 800, alpha).shift_sd
    hits = 0
    for _ in range(runs):
        before, after = random.normal(size=4000), random.normal(smallest, size=800)
        cells = np.sort(np.concatenate([before, after]))
        sides = [np.bincount(np.searchsorted(cells, side), minlength=len(cells)) for side in (before, after)]
        p_value = Location().compare(counts(*sides[0]), counts(*sides[1])).p_value
        hits += p_value is not None and p_value <= alpha
    assert stats.binom.ppf(1e-4, runs, 0.8) <= hits <= stats.binom.ppf(1 - 1e-4, runs, 0.8)


def test_the_smallest_missing_rate_is_found_with_about_the_chance_that_is_stated() -> None:
    random = np.random.default_rng(2)
    alpha, runs = 1e-4, 300
    smallest = findable(4000, 800, alpha).missing
    hits = 0
    for before, after in zip(random.binomial(4000, 0.01, runs), random.binomial(800, smallest, runs), strict=True):
        sides = counts(4000 - int(before), missing=int(before)), counts(800 - int(after), missing=int(after))
        hits += (MissingRate().compare(*sides).p_value or 1.0) <= alpha
    # The arcsine formula is of the uncorrected test; the exact one is more careful.
    assert 0.6 <= hits / runs <= 0.9


def test_many_rows_find_nothing_below_the_floors() -> None:
    found = findable(10**8, 10**8, 1e-6)
    assert found.shift_sd == pytest.approx(0.0752, abs=1e-4)
    assert (found.missing, found.share, found.correlation) == pytest.approx((0.02, 0.23, 0.1))


# -- a year of unchanged data ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def law() -> years.Law:
    return years.draw_law(np.random.default_rng(3), 4000)


def test_counts_drawn_at_once_or_row_by_row_have_the_law_of_counted_rows(law: years.Law) -> None:
    random, runs, rows = np.random.default_rng(4), 40, 400
    real = [count(law.profile, years.draw_columns(random, rows)) for _ in range(runs)]
    one_by_one = years.draw_year(random, law, rows, runs)
    at_once = [random.multinomial(rows, shares, size=runs) for shares in law.shares]
    for place, column in enumerate(law.profile.columns):
        counted = [window.columns[column.name] for window in real]
        bins = np.sum([one.counts for one in counted], axis=0)
        total = np.append(bins, sum(one.missing for one in counted))
        for drawn in (total, one_by_one.counts[place].sum(axis=0), at_once[place].sum(axis=0)):
            expected = runs * rows * law.shares[place]
            # Neighbouring bins together until each expects some rows.
            group = (np.cumsum(expected) / 25).astype(int)
            seen, wanted = np.bincount(group, drawn), np.bincount(group, expected)
            kept = wanted > 5
            statistic = ((seen - wanted)[kept] ** 2 / wanted[kept]).sum()
            assert stats.chi2.sf(statistic, max(kept.sum() - 1, 1)) > 1e-6, column.name


def test_the_pairs_of_drawn_rows_are_summed_as_those_of_counted_rows(law: years.Law) -> None:
    random = np.random.default_rng(5)
    year = years.draw_year(random, law, 500, 40)
    drawn = years.counted(random, law, year, 0).pairs
    real = count(law.profile, years.draw_columns(random, 500)).pairs
    assert drawn is not None
    assert real is not None
    assert drawn.shape == real.shape
    one, other = (sums.sum(axis=0)[:, 0] for sums in (drawn, real))
    gaps = (one - other) / np.sqrt(np.maximum(other, 1))
    assert np.abs(gaps).max() < 5


def test_the_screen_of_a_year_lets_nothing_through_that_could_be_an_alarm(law: years.Law) -> None:
    random = np.random.default_rng(6)
    year = years.draw_year(random, law, 600, years.BEFORE + 4)
    # Move some windows of one column, so that there is something to find.
    year.counts[0][-1] = np.roll(year.counts[0][-1], 60)
    year.counts[16][-2] = year.counts[16][-2][::-1]
    suspects = years.suspicious(law, year)
    for look in range(4):
        windows = [years.counted(random, law, year, look + years.BEFORE - back) for back in range(years.BEFORE + 1)]
        tested = drift.compare(law.profile, pools(law.profile, windows[0], windows[1:]), Budget(), choose())
        sharpest = min(row.p_value_corrected or 1.0 for row in tested.columns)
        assert suspects[look] or sharpest > Budget().drift
    assert suspects[-2:].all()


def test_a_few_years_of_unchanged_data_keep_to_the_budget() -> None:
    (found,) = monitoring_statistics.false_alarms((500,), 3, seed=1)
    assert found.alarmed <= stats.binom.ppf(1 - 1e-4, 3, 0.05)


@pytest.mark.parametrize("change", monitoring_power.CHANGES, ids=lambda change: change.name)
def test_each_change_is_found_in_one_look(change: monitoring_power.Change) -> None:
    hits = monitoring_power.power(np.random.default_rng(7), change, 6)
    assert hits >= stats.binom.ppf(1e-4, 6, change.goal)


def test_the_bounds_of_a_share_are_clopper_and_pearsons() -> None:
    assert statistics_page.bounds(0, 400)[1] == pytest.approx(1 - 0.025 ** (1 / 400))
    expected = stats.binomtest(10, 400).proportion_ci(0.95, "exact")
    assert statistics_page.bounds(10, 400) == pytest.approx((expected.low, expected.high))


def test_a_section_of_the_page_replaces_itself_alone(tmp_path: Any) -> None:
    page = tmp_path / "STATISTICS.md"
    for title, line in (("A", "one"), ("B", "two"), ("A", "three")):
        statistics_page.write_section(title, [line], page)
    text = page.read_text()
    assert text.index("## A\n\nthree") < text.index("## B\n\ntwo")
    assert "one" not in text
