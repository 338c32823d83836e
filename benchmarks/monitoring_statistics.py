"""The monitor's false alarms in a year, and its power, by simulation; writes its sections of STATISTICS.md."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from time import process_time

import numpy as np

from benchmarks import monitoring_parts as parts
from benchmarks import monitoring_power as power
from benchmarks import monitoring_reactions as reactions
from benchmarks import monitoring_standing as standing
from benchmarks import monitoring_years as years
from benchmarks.statistics_page import at_most, bounds, share, write_section
from mlprod_nb.monitoring.budget import Budget

#: Rows of a look; those that stand together share each year's reference.
SIZES = ((500, 1000), (5000, 50_000))
SEED = 2013
#: Rows a look, and by which week the creep must be found.
CREEPS = ((1000, 10), (5000, 5))
#: Rows of a look of which the model's performance is judged, and of one of which rows are tested.
JUDGED, TESTED = (500, 1000), 500


@dataclass(frozen=True)
class FalseAlarms:
    """How many of the simulated years had an alarm.

    Attributes:
        rows: Rows of a look.
        years: How many years.
        alarmed: How many of them had at least one alarm.
        causes: What raised them.
    """

    rows: int
    years: int
    alarmed: int
    causes: tuple[str, ...]


def false_alarms(sizes: tuple[int, ...], number: int, seed: int = SEED) -> list[FalseAlarms]:
    """Simulate years of unchanged data, each with a reference of its own that all sizes share."""
    random = np.random.default_rng([seed, *sizes])
    found: dict[int, list[list[str]]] = {rows: [] for rows in sizes}
    for _ in range(number):
        law = years.draw_law(random)
        for rows in sizes:
            year = years.draw_year(random, law, rows)
            found[rows].append(years.alarms(random, law, year, years.suspicious(law, year), Budget()))
    return [
        FalseAlarms(rows, number, sum(bool(year) for year in each), tuple(name for year in each for name in year[:1]))
        for rows, each in found.items()
    ]


def write_false_alarms(found: list[FalseAlarms], seconds: float) -> None:
    """Write the section on false alarms."""
    lines = [
        "At least one false alarm of drift in a year: 52 weekly looks at 20 columns that never change (16 of"
        " numbers: skewed, heavy-tailed, spiked, of few values, almost constant; 4 of categories; missing values"
        " from 0 to 50 %)",
        f"against a drawn reference of {years.REFERENCE_ROWS:,} rows, pooled windows of 1, 4 and 13 looks, at the"
        " default of 5 % a year, of which two fifths are for drift. Up to 1,000 rows rank correlations of all pairs"
        " are simulated too; above, their floor lies too far out to be reached. Values out of range and new categories"
        " count as alarms where the verdict would name them.",
        "",
        "| rows a look | years | years with a false alarm | goal |",
        "|---:|---:|---|---|",
        *(
            f"| {one.rows:,} | {one.years} | {share(one.alarmed, one.years)} | ≤ 5 %, upper bound ≤ 7 %:"
            f" {'kept' if bounds(one.alarmed, one.years)[1] <= 0.07 else 'missed'} |"
            for one in found
        ),
        "",
        *(f"- {one.rows:,} rows: {cause}" for one in found for cause in one.causes),
        "",
        f"Seed {SEED}; {seconds:.0f} s of processor time.",
    ]
    print("\n".join(lines))
    write_section("Monitoring: false alarms in a year", lines)


def write_power(looks: int, runs: int, seed: int = SEED) -> None:
    """Simulate and write the section on power."""
    began, random = process_time(), np.random.default_rng([seed, looks, runs])
    rows = [(change, power.power(random, change, looks)) for change in power.CHANGES]
    weeks = [(size, goal, power.creep(random, size, runs)) for size, goal in CREEPS]
    lines = [
        "One of the 20 columns changes; reference of 10,000 rows, the same budget, 12 unchanged windows before: the"
        " share of looks at the changed window that find it.",
        "",
        "| change | rows a look | found in one look | goal |",
        "|---|---:|---|---|",
        *(
            f"| {change.name} | {change.rows:,} | {share(hits, looks)} | ≥ {100 * change.goal:.0f} %:"
            f" {'kept' if hits >= change.goal * looks else 'missed'} |"
            for change, hits in rows
        ),
        *(
            f"| creep of 0.02 sd a week | {size:,} | in the median of {runs} runs in week {week:g} | by week {goal}:"
            f" {'kept' if week <= goal else 'missed'} |"
            for size, goal, week in weeks
        ),
        "",
        f"Seed {seed}; {process_time() - began:.0f} s of processor time.",
    ]
    print("\n".join(lines))
    write_section("Monitoring: power", lines)


def write_parts(number: int, looks: int, seed: int = SEED) -> None:
    """Simulate and write the section on what has parts of the budget of its own."""
    began, budget = process_time(), Budget()
    judged = []
    for rows in JUDGED:
        random = np.random.default_rng([seed, rows, number])
        judged.append((rows, [parts.performance_year(random, rows, budget) for _ in range(number)]))
    tested = parts.row_tests(np.random.default_rng([seed, looks]), looks, TESTED, budget)
    lines = [
        *(line.strip() for line in (parts.__doc__ or "").strip().splitlines()[2:]),
        "",
        f"{100 * parts.LABELLED:.0f} % of the predictions have labels; two fifths of a year's 5 % are for performance.",
        "",
        "| rows a look | years | years in which performance, its estimate or the labels were said to be wrong | goal |",
        "|---:|---:|---|---|",
        *(
            f"| {rows:,} | {number} | {share(sum(map(bool, found)), number)} | ≤ 2 %:"
            f" {at_most(sum(map(bool, found)), number, 0.02)} |"
            for rows, found in judged
        ),
        "",
        *(f"- {rows:,} rows: {year[0]}" for rows, found in judged for year in found if year),
        "",
        f"Tests of rows (domain classifier, MMD, PCA) of {TESTED:,} rows against samples of {parts.SAMPLE_ROWS:,}, the"
        " same 20 columns:",
        "",
        "| least corrected p-value at most | looks | goal |",
        "|---:|---|---|",
        *(
            f"| {level} | {share(below, looks)} | ≤ {100 * level:.0f} %: {at_most(below, looks, level)} |"
            for level, below in zip(parts.LEVELS, tested.below, strict=True)
        ),
        f"| {budget.joint:.2g}, a look's own | {share(tested.alarmed, looks)} | none expected |",
        "",
        f"Seed {seed}; {process_time() - began:.0f} s of processor time.",
    ]
    print("\n".join(lines))
    write_section("Monitoring: false alarms of performance and of tests of rows", lines)


def standing_years(rows: int, number: int, seed: int = SEED) -> list[list[str]]:
    """Simulate years of what is judged beyond drift, by looks of so many rows; each year has a seed of its own."""
    seeds = ([seed, rows, year, 4] for year in range(number))
    return [standing.standing_year(np.random.default_rng(each), rows, Budget()) for each in seeds]


def write_standing(found: dict[int, list[list[str]]], seconds: float) -> None:
    """Write the section on segments and the service, of each number of rows the years."""
    lines = [
        *(line.strip() for line in (standing.__doc__ or "").strip().splitlines()[2:]),
        "",
        f"Reference of {standing.REFERENCE_ROWS:,} rows; {100 * standing.LABELLED:.0f} % of predictions have labels;"
        f" {100 * standing.REFUSED:.0f} % of the requests are refused; two fifths of a year's 5 % are for all of this.",
        "",
        "| rows a look | years | years with a false alarm | goal |",
        "|---:|---:|---|---|",
        *(
            f"| {rows:,} | {len(every)} | {share(sum(map(bool, every)), len(every))} | ≤ {100 * standing.GOAL:.0f} %:"
            f" {at_most(sum(map(bool, every)), len(every), standing.GOAL)} |"
            for rows, every in found.items()
        ),
        "",
        *(f"- {rows:,} rows: {year[0]}" for rows, every in found.items() for year in every if year),
        "",
        f"Seed {SEED}; {seconds:.0f} s of processor time.",
    ]
    print("\n".join(lines))
    write_section("Monitoring: false alarms of segments and of the service", lines)


def write_reactions(years_of_each: int, looks: int, seed: int = SEED) -> None:
    """Simulate and write the section on what users do."""
    began, budget = process_time(), Budget()
    lines = [
        *(line.strip() for line in (reactions.__doc__ or "").strip().splitlines()[2:]),
        "",
        "| predictions a look | years | years with a false alarm | goal |",
        "|---:|---:|---|---|",
    ]
    for rows in JUDGED:
        seeds = ([seed, rows, year, 5] for year in range(years_of_each))
        every = [reactions.unchanged_year(np.random.default_rng(each), rows, budget) for each in seeds]
        alarmed = sum(map(bool, every))
        lines.append(
            f"| {rows:,} | {years_of_each} | {share(alarmed, years_of_each)} | ≤ {100 * standing.GOAL:.0f} %:"
            f" {at_most(alarmed, years_of_each, standing.GOAL)} |"
        )
    lines += ["", "| least corrected p-value at most | looks at 1,000 predictions | goal |", "|---:|---|---|"]
    calm = [reactions.one_look(np.random.default_rng([seed, look, 6]), 1000, budget) for look in range(looks)]
    for level in reactions.LEVELS:
        below = sum(look.least <= level for look in calm)
        lines.append(f"| {level} | {share(below, looks)} | ≤ {100 * level:.0f} %: {at_most(below, looks, level)} |")
    lines += ["", "| what is left of what three in ten do | found by one look at 1,000 predictions |", "|---:|---|"]
    for left in reactions.LEFT:
        fallen = (
            reactions.one_look(np.random.default_rng([seed, look, 7]), 1000, budget, left=left).fell
            for look in range(looks // 5)
        )
        found = sum("opened" in names for names in fallen)
        lines.append(f"| {100 * left:.0f} % | {share(found, looks // 5)} |")
    lines += ["", f"Seed {seed}; {process_time() - began:.0f} s of processor time."]
    print("\n".join(lines))
    write_section("Monitoring: false alarms and power of what users do", lines)


def main() -> None:
    """Run all simulations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=400, help="simulated years for each number of rows; 0: power only")
    parser.add_argument("--looks", type=int, default=200, help="looks at each change; 0: false alarms only")
    parser.add_argument("--runs", type=int, default=25, help="runs of each creep")
    parser.add_argument(
        "--part-years", type=int, default=250, help="years of performance; 0: none, and no tests of rows"
    )
    parser.add_argument("--row-looks", type=int, default=80, help="looks with tests of rows")
    parser.add_argument("--standing-years", type=int, default=280, help="years of segments and the service")
    parser.add_argument("--reaction-years", type=int, default=280, help="years of what users do; 0: none, and no looks")
    parser.add_argument("--reaction-looks", type=int, default=2000, help="looks at what users do")
    asked = parser.parse_args()
    if asked.years:
        began = process_time()
        found = [one for sizes in SIZES for one in false_alarms(sizes, asked.years)]
        write_false_alarms(found, process_time() - began)
    if asked.looks:
        write_power(asked.looks, asked.runs)
    if asked.part_years:
        write_parts(asked.part_years, asked.row_looks)
    if asked.standing_years:
        began = process_time()
        standings = {rows: standing_years(rows, asked.standing_years) for rows in JUDGED}
        write_standing(standings, process_time() - began)
    if asked.reaction_years:
        write_reactions(asked.reaction_years, asked.reaction_looks)


if __name__ == "__main__":
    main()
