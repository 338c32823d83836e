"""The report notebooks that ship: calls only, typed parameters, no stored output, one verdict at the end."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlprod_nb import assets, notebooks
from mlprod_nb.reports import clean, kinds, show
from mlprod_nb.results import Result, Section
from mlprod_nb.results.drawings import unpacked

SHIPPED = sorted(assets.folder("notebooks").glob("*_report.ipynb"))


@dataclass(frozen=True)
class Figure:
    description: str
    svg: str


@dataclass(frozen=True)
class Numbers(Result):
    rows: int

    def sections(self) -> list[Section]:
        return [
            Section("", (), (("rows", self.rows),)),
            Section("columns (first 30 of 50)", ("column",), (("<b>",),)),
            Section("columns of another", ("column",), (("other",),)),
            Section("empty", ("column",), ()),
        ]


def test_the_reports_ship(tmp_path: Path) -> None:
    assert kinds.names(tmp_path) == ["abtest", "drift", "performance"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_report_notebook_is_short_and_made_of_calls(path: Path) -> None:
    cells = notebooks.read(path)["cells"]
    sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert len(sources) <= 12
    assert all(len(source.splitlines()) <= 10 for source in sources)
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While) for node in nodes)
    assert sources[-1].endswith(".verdict")
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_report_notebook_takes_a_workspace_an_endpoint_and_a_pinned_range(path: Path) -> None:
    declared = notebooks.declared(notebooks.read(path))
    assert list(declared)[:3] == ["workspace", "endpoint", "pinned"]
    assert all(parameter.annotation and not parameter.required for parameter in declared.values())


def test_parts_of_a_result_are_shown_by_title() -> None:
    shown = show.part(Numbers(3), "", "columns", otherwise="nothing.")
    assert [section.title for section in shown.parts] == ["", "columns (first 30 of 50)"]
    assert "&lt;b&gt;" in shown._repr_html_()
    assert "other" not in shown._repr_html_()


def test_a_single_part_leaves_its_title_to_the_heading_above_it() -> None:
    assert [s.title for s in show.part(Numbers(3), "columns", otherwise="").parts] == ["first 30 of 50"]


def test_a_missing_part_is_told_in_words() -> None:
    shown = show.part(Numbers(3), "empty", "absent", otherwise="There is <none>.")
    assert shown._repr_html_() == "<p>There is &lt;none&gt;.</p>"
    assert str(shown) == "There is <none>."


def test_drawings_stand_above_the_tables_of_a_part_and_either_alone() -> None:
    drawn = [Figure("a < b", "<svg><path/></svg>")]
    both = show.part(Numbers(3), "columns", figures=drawn, otherwise="nothing.")
    made = both._repr_html_()
    assert made.index("<figcaption>a &lt; b</figcaption>") < made.index("<table")
    assert made.count("a &lt; b") == 1
    assert str(both).startswith("a < b\n\n")
    only = show.part(Numbers(3), "absent", figures=drawn, otherwise="nothing.")
    assert "<path/>" in unpacked(only._repr_html_())
    assert str(only) == "a < b"
    assert str(show.part(Numbers(3), "absent", otherwise="nothing.")) == "nothing."


#: What both reports of a monitor tell, each in a cell of its own, by the words of its call.
PARTS = (
    '"columns"',
    '"data quality"',
    '"performance"',
    '"effect on the score"',
    '"budget for false alarms"',
    '"method"',
)


@pytest.mark.parametrize("kind", ["drift", "performance"])
def test_a_monitors_report_has_a_cell_for_each_of_its_parts(kind: str) -> None:
    cells = notebooks.read(next(path for path in SHIPPED if path.stem == f"{kind}_report"))["cells"]
    sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    told = [next(number for number, source in enumerate(sources) if part in source) for part in PARTS]
    assert len(set(told)) == len(PARTS)
    assert "figures=monitor.figures" in sources[told[PARTS.index('"effect on the score"')]]
    assert sum('"pairs of columns"' in source for source in sources) == 1


def test_figures_stand_side_by_side_with_their_words() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" fill="currentColor"><path d="M0 0"/></svg>'
    gallery = show.figures([Figure("a < b", svg), Figure("c", svg)], otherwise="none")
    made = clean.output_html(gallery._repr_html_())
    assert made.count("<path") == 2
    assert "<figcaption>a &lt; b</figcaption>" in made
    assert str(gallery) == "a < b\nc"
    assert show.drawing("", otherwise="No band.")._repr_html_() == "<p>No band.</p>"
