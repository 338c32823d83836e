from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.monitoring import Profile, build
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import choose
from mlprod_nb.monitoring.drill import Ground, parse, run
from mlprod_nb.monitoring.drill_result import DrillResult
from tests.monitoring import samples


@pytest.fixture(scope="module")
def reference() -> Profile:
    return samples.reference_profile(np.random.default_rng(1), 8000)[0]


def rows(n: int = 4000, seed: int = 2) -> dict[str, Any]:
    return dict(samples.traffic(np.random.default_rng(seed), n))


def injected(profile: Profile, text: str, columns: dict[str, Any]) -> dict[str, Any]:
    read = {name: v.astype(float) if v.dtype.kind in "fiu" else v.astype(object) for name, v in columns.items()}
    return parse(text, profile).change(np.random.default_rng(3), read)


def drill(
    profile: Profile, text: str, columns: dict[str, Any] | None = None, n: int = 2000, seed: int = 0
) -> DrillResult:
    ground = Ground(profile, rows() if columns is None else columns, n, Budget(), choose(), seed)
    return run("flights", ground, parse(text, profile))


# -- what is injected -----------------------------------------------------------------------------------------------


def test_a_shift_and_a_spread_are_in_units_of_the_references_deviation(reference: Profile) -> None:
    before, column = rows(), reference.columns[0]
    assert column.sd is not None
    assert column.mean is not None
    up = injected(reference, "amount+0.3sd", before)["amount"]
    assert np.allclose(up - before["amount"], 0.3 * column.sd)
    down = injected(reference, "amount - 0.5 sd", before)["amount"]
    assert np.allclose(down - before["amount"], -0.5 * column.sd)
    wide = injected(reference, "amount*1.5sd", before)["amount"]
    assert np.allclose(wide - column.mean, 1.5 * (before["amount"] - column.mean))


def test_values_go_missing_and_a_category_grows_by_the_stated_share(reference: Profile) -> None:
    before = rows(20_000)
    lost = np.isnan(injected(reference, "amount missing 5%", before)["amount"]).mean()
    assert lost == pytest.approx(0.05, abs=0.006)
    group = injected(reference, "group=b+5pts", before)["group"]
    assert (group == "b").mean() - (before["group"] == "b").mean() == pytest.approx(0.05, abs=0.006)


def test_a_correlation_turns_round_while_every_column_keeps_its_values(reference: Profile) -> None:
    before = rows()
    before["skewed"] = np.exp(before["amount"] + np.random.default_rng(4).normal(size=4000))
    after = injected(reference, "amount~skewed", before)
    assert np.array_equal(np.sort(after["skewed"]), np.sort(before["skewed"]))
    first = np.corrcoef(before["amount"], np.log(before["skewed"]))[0, 1]
    second = np.corrcoef(after["amount"], np.log(after["skewed"]))[0, 1]
    assert first > 0.6
    assert second == pytest.approx(-first, abs=0.05)


def test_the_window_itself_is_not_touched(reference: Profile) -> None:
    before = rows()
    kept = {name: values.copy() for name, values in before.items()}
    drill(reference, "amount+0.3sd", before)
    assert all(before[name].tolist() == values.tolist() for name, values in kept.items() if name != "gaps")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amuont+0.3sd", "Did you mean 'amount'"),
        ("amount~smal", "Did you mean 'small'"),
        ("amount~amount", "with itself"),
        ("amount plus a bit", "Write amount+0.3sd"),
        ("group+0.3sd", "holds categories"),
        ("amount=a+5pts", "holds numbers"),
        ("group=bb+5pts", "category of group"),
        ("amount missing 500%", "not above 0 and at most 100"),
        ("amount+0sd", "changes nothing"),
        ("amount*1.0sd", "changes nothing"),
        ("", "no drift that can be injected"),
        ("hour+1", "Did you mean 'hour+1sd'?"),
    ],
)
def test_what_cannot_be_injected_is_said_in_a_line_with_what_is_near(
    reference: Profile, text: str, message: str
) -> None:
    with pytest.raises(MlprodError) as caught:
        parse(text, reference)
    assert message in str(caught.value)


def test_a_constant_column_has_no_deviation_to_shift_by(reference: Profile) -> None:
    still = dataclasses.replace(reference.columns[0], sd=0.0)
    with pytest.raises(MlprodError, match="constant"):
        parse("amount+1sd", dataclasses.replace(reference, columns=(still, *reference.columns[1:])))


# -- what would fire ------------------------------------------------------------------------------------------------


def test_a_shift_is_found_by_location_before_ks_and_never_by_missing(reference: Profile) -> None:
    found = {row.detector: row for row in drill(reference, "amount+0.3sd").detectors}
    location, ks = found["location"], found["ks"]
    assert location.looks == 1
    assert location.rows is not None
    assert ks.rows is not None
    assert 200 <= location.rows <= ks.rows
    assert (found["missing"].rows, found["missing"].looks) == (None, None)
    assert not any(row.already for row in found.values())


def test_a_small_shift_takes_pooled_looks(reference: Profile) -> None:
    found = {row.detector: row for row in drill(reference, "amount+0.15sd", n=500).detectors}
    assert found["location"].rows is None
    assert found["location"].looks is not None
    assert found["location"].looks > 1


def test_missing_values_and_a_category_are_found(reference: Profile) -> None:
    missing = {row.detector: row for row in drill(reference, "amount missing 5%").detectors}
    assert missing["missing"].looks == 1
    category = {row.detector: row for row in drill(reference, "group=b+9pts").detectors}
    assert category["chi_square"].looks == 1


def test_a_correlation_that_turns_is_found_by_the_correlation_alone() -> None:
    random = np.random.default_rng(5)

    def draw(n: int) -> dict[str, Any]:
        x = random.normal(size=n)
        return {"x": x, "y": x + random.normal(size=n)}

    from mlprod_nb.monitoring import build

    types = samples.signature(x="double", y="double")
    profile = build(draw(8000), types, scores=np.zeros(8000), labels=None, task="regression")
    found = drill(profile, "x~y", draw(4000))
    assert {row.detector for row in found.detectors if row.looks is not None} == {"correlation"}
    assert found.headline().startswith("x~y would be found in the first look of 2,000 rows, by correlation")


def test_a_drift_that_is_there_already_is_remarked(reference: Profile) -> None:
    moved = rows()
    moved["amount"] = moved["amount"] + 1
    found = {row.detector: row for row in drill(reference, "amount+0.3sd", moved).detectors}
    assert found["location"].already == "alone"
    assert "fires on the window as it is" in str(drill(reference, "amount+0.3sd", moved))


@pytest.mark.parametrize("seed", range(4))
def test_what_fires_on_a_looks_rows_fires_in_the_first_look(reference: Profile, seed: int) -> None:
    """Near the edge of what can be found, where two draws of the same rows would not agree."""
    for row in drill(reference, "group=b+5pts", n=1000, seed=seed).detectors:
        assert row.rows is None or row.looks == 1, row


def test_what_only_the_pooled_window_shows_is_not_put_down_to_the_injection(reference: Profile) -> None:
    """A small deviation of the window's own rows, drawn thirteen times, looks as sure as if they were so many more."""
    own = rows()
    own["amount"] = own["amount"] + 0.1
    found = {row.detector: row for row in drill(reference, "gaps missing 30%", own, n=1500).detectors}
    assert not any(row.already for name, row in found.items() if name != "missing")
    moved = {row.detector: row for row in drill(reference, "amount*1.01sd", own, n=1500).detectors}
    assert moved["location"].rows is None
    assert moved["location"].already == "pooled"


def test_what_one_look_shows_is_put_down_to_the_injection_though_looks_pooled_would_show_something_before(
    reference: Profile,
) -> None:
    own = rows()
    own["amount"] = own["amount"] + 0.1
    result = drill(reference, "amount+0.5sd", own, n=1500)
    found = {row.detector: row for row in result.detectors}
    assert found["location"].already == "pooled"
    assert found["location"].rows is not None
    assert "in the first look of 1,500 rows, by ks, and from 200 rows on" in result.headline()


def test_a_drill_repeats_itself_and_renders(reference: Profile) -> None:
    first, second = drill(reference, "amount+0.3sd"), drill(reference, "amount+0.3sd")
    assert first == second
    assert "amount+0.3sd would be found in the first look" in first._repr_html_()
    assert len(first.to_frame()) == len(first.detectors)
    assert first.exit_code == 0


def test_a_window_without_rows_or_without_the_column_is_refused_in_a_line(reference: Profile) -> None:
    with pytest.raises(Refused, match="empty"):
        drill(reference, "amount+0.3sd", rows(0))
    gone = rows()
    del gone["amount"]
    with pytest.raises(Refused, match="cannot be read"):
        drill(reference, "amount+0.3sd", gone)
    assert count(reference, gone).columns["amount"].problem


def test_what_is_derived_of_a_text_is_tried_and_counted() -> None:
    random = np.random.default_rng(6)

    def draw(n: int, empty: float) -> dict[str, Any]:
        words = random.poisson(8, n) * (random.random(n) >= empty)
        notes = np.array(["n" * int(size) + f"{place:06}" for place, size in enumerate(words)], dtype=object)
        return {"note": notes, "amount": random.normal(size=n)}

    signature = samples.signature(note="string", amount="double")
    profile = build(draw(4000, 0.0), signature, scores=random.random(4000), labels=None, task="regression")
    assert [column.name for column in profile.derived or ()] == ["note (length)"]
    found = {row.detector: row for row in drill(profile, "note missing 20%", draw(3000, 0.0)).detectors}
    assert {"ks", "location", "chi_square", "missing"} <= found.keys()
    assert found["missing"].looks == 1
    assert found["ks"].looks is None  # the lengths of those that stay are as they were
    already = {row.detector: row for row in drill(profile, "note missing 20%", draw(3000, 0.5)).detectors}
    assert already["location"].already
