from __future__ import annotations

from datetime import timedelta
from xml.etree import ElementTree

import numpy as np
import pytest

from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.plots import Bars, Figure, Point, bars, column_figure, over_time
from mlprod_nb.monitoring.profile import build
from mlprod_nb.results.drawings import unpacked
from tests.monitoring import samples


def figures() -> list[Figure]:
    random = np.random.default_rng(0)
    profile, _ = samples.reference_profile(random, 3000)
    columns = samples.traffic(random, 900)
    columns["amount"] = columns["amount"] + 5
    columns["group"] = np.where(columns["group"] == "b", '<&">', columns["group"])
    window = count(profile, columns)
    made = [column_figure(column, window.columns[column.name]) for column in profile.columns]
    points = [
        Point(samples.START + timedelta(days=i), 0.8 - i / 100, 0.75 - i / 100, 0.85 - i / 100, 100) for i in range(20)
    ]
    made.append(over_time("accuracy", points, 0.81))
    assert all(made)
    return [figure for figure in made if figure]


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.title)
def test_every_figure_is_small_valid_self_contained_and_described(figure: Figure) -> None:
    assert len(figure.svg) < 10_000
    root = ElementTree.fromstring(figure.svg)
    names = {element.tag.split("}")[1]: element.text for element in root.iter()}
    assert names["title"] == figure.title
    assert names["desc"] == figure.description
    assert "nan" not in figure.svg
    assert "http" not in figure.svg.replace("http://www.w3.org/2000/svg", "")
    assert figure._repr_markdown_().startswith(f"![{figure.title}")
    assert figure.svg in unpacked(figure._repr_html_())


def test_a_description_tells_what_moved() -> None:
    by_title = {figure.title: figure.description for figure in figures()}
    assert by_title["amount"].endswith("in the reference, 4.994 in the window")
    assert "; b " in by_title["group"]
    assert by_title["accuracy over time"] == "from 0.8 at first to 0.61 at last; 0.81 in the reference"


def test_there_is_no_figure_of_nothing() -> None:
    random = np.random.default_rng(1)
    profile, _ = samples.reference_profile(random, 100)
    window = count(profile, samples.traffic(random, 0))
    assert all(column_figure(column, window.columns[column.name]) is None for column in profile.columns)
    assert over_time("accuracy", [Point(samples.START, 0.5, 0.4, 0.6, 10)], None) is None


def test_a_few_whole_numbers_get_a_bar_each_named_by_its_value() -> None:
    weekdays = np.repeat(np.arange(7), 100)
    profile = build(
        {"weekday": weekdays},
        samples.signature(weekday="long"),
        scores=np.zeros(700),
        labels=None,
        task="regression",
    )
    column = profile.columns[0]
    figure = column_figure(column, count(profile, {"weekday": np.repeat(np.arange(8), 50)}).columns["weekday"])
    assert figure is not None
    assert all(f">{day}</text>" in figure.svg for day in range(8))


def drawn(values: list[float]) -> Bars:
    """Return the bars of a column whose window is as its reference."""
    column = np.array(values)
    signature = samples.signature(share="double")
    profile = build({"share": column}, signature, scores=column, labels=None, task="regression")
    found = bars(profile.columns[0], count(profile, {"share": column}).columns["share"])
    assert found is not None
    return found


def test_a_picture_of_shares_lies_between_0_and_1_and_loses_none_of_them() -> None:
    found = drawn([0.0] * 50 + [row / 900 for row in range(900)] + [1.0] * 50)
    assert (found.stops[0], found.stops[-1]) == (0.0, 1.0)
    for side in (found.reference, found.window):
        assert sum(side) == pytest.approx(1.0)
        assert min(side[0], side[-1]) > 0.05


def test_a_picture_has_half_a_bar_more_where_values_could_be() -> None:
    found = drawn([row / 900 - 0.5 for row in range(1800)])
    assert found.stops[0] < -0.48
    assert found.stops[-1] > 1.48
    assert drawn([row / 900 for row in range(1800)]).stops[0] == 0.0
