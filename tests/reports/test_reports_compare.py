"""Two reports side by side: every value has its place, and what changed is told in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.errors import Corrupt, NotFound
from mlprod_nb.notebooks import files
from mlprod_nb.reports import compare, replay, shown
from mlprod_nb.reports.compare import Evidence
from mlprod_nb.reports.shown import Place
from mlprod_nb.results import Cause, Result, Status, Verdict
from mlprod_nb.store import evidence as store_evidence
from tests.notebook_files import code, html, notebook, text
from tests.reports.hostile import HOSTILE

BOUND: dict[str, Any] = {
    "model_versions": ["flights/1"],
    "log_range": {"since": None, "until": "2013-05-01T00:00:00+00:00", "rows": 100, "digest": "ab" * 32},
    "parameters": {"joint": True},
    "notebook_sha256": "cd" * 32,
    "packages": {"python": "3.11.7", "numpy": "1.26.4"},
}


@dataclass(frozen=True)
class Row:
    column: str
    moved: float


@dataclass(frozen=True)
class Look(Result):
    rows: int
    columns: tuple[Row, ...]


def concluding(status: Status, sentence: str, *causes: Cause) -> dict[str, Any]:
    data = Verdict(status, sentence, causes=causes)._repr_mimebundle_()
    return code("v", outputs=[{"output_type": "display_data", "metadata": {}, "data": data}])


def evidence(*cells: dict[str, Any], last: dict[str, Any] | None = None, **bound: Any) -> Evidence:
    made = notebook(*cells, last or concluding("ok", "nothing moved."))
    return Evidence.of(made, BOUND | bound)


def look(*moved: float, rows: int = 100) -> dict[str, Any]:
    result = Look(rows, tuple(Row(f"column {index}", value) for index, value in enumerate(moved)))
    return code("look", outputs=[html(result._repr_html_())])


def said(before: Evidence, after: Evidence) -> list[str]:
    return compare.in_words(compare.compare(before, after), before.verdict, after.verdict)


def test_every_cell_of_a_table_has_its_place() -> None:
    found = shown.values(notebook(text("# A\n\n## Every column"), look(0.1, 0.25)))
    assert found[Place("Every column", "rows", "")] == "100"
    assert found[Place("Every column: columns", "column 1", "moved")] == "0.25"


def test_rows_that_begin_alike_and_values_at_one_place_are_all_kept() -> None:
    twice = html(
        "<table><tr><th>a</th><td>1</td></tr><tr><th>a</th><td>2</td></tr><tr></tr><tr><td>b</td></tr></table>"
    )
    found = shown.values(notebook(text("# T"), code("x", outputs=[twice, twice])))
    assert found == {Place("T", "a"): "1\n1", Place("T", "a (2)"): "2\n2", Place("T", "b"): "is there\nis there"}


def test_words_and_drawings_beside_tables_count_and_messages_and_styles_do_not() -> None:
    svg = "<style>p{color:red}</style><svg><path d='M0 0'/><text>0.5</text></svg><figcaption>1 &lt; 2</figcaption>"
    stream = {"output_type": "stream", "name": "stdout", "text": "printed"}
    noise = {"output_type": "stream", "name": "stderr", "text": "a warning"}
    found = shown.values(notebook(text("# T"), code("x", outputs=[html(svg), stream, noise])))
    assert [found[Place("T", line)] for line in ("1 < 2", "printed")] == ["said", "said"]
    assert len(found) == 3
    other = shown.values(notebook(text("# T"), code("x", outputs=[html(svg.replace("M0 0", "M0 1")), stream])))
    assert {place for place in found if found[place] != other[place]} == {Place("T", "drawings")}


def test_what_is_told_of_the_moment_is_left_out() -> None:
    alerts = html("<table><caption>since the last report</caption><tr><td>new</td><td>drift</td></tr></table>")
    cells = (code("x", outputs=[alerts]), text("## Since the last report"), code("y", outputs=[html("<p>open</p>")]))
    assert shown.values(notebook(*cells, concluding("ok", "s."))) == {}


def test_equal_reports_are_equal_in_words() -> None:
    one = evidence(text("# T"), look(0.1))
    assert compare.compare(one, one).all == ()
    assert said(one, one) == ["the verdict is OK in both, in the same words.", "all 3 values that they show are equal."]


def test_a_change_of_verdict_causes_versions_packages_and_numbers_is_told_in_words() -> None:
    old, new = Cause("quality: hour", "warn"), Cause("performance", "alarm")
    before = evidence(text("# T"), look(0.1, 0.2, 0.3), last=concluding("warn", "quality.", old))
    after = evidence(
        text("# T"),
        look(0.1, 0.9, 0.3),
        last=concluding("alarm", "worse.", new, Cause("drift", "ok")),
        model_versions=["flights/2"],
        packages={"python": "3.11.7", "numpy": "2.0.0"},
    )
    assert said(before, after) == [
        "the verdict went from a warning to an alarm.",
        "new cause: performance.",
        "gone cause: quality: hour.",
        "model versions: flights/1 became flights/2.",
        "numpy: 1.26.4 became 2.0.0.",
        "1 value of 5 differs, in: T: columns.",
    ]
    [number] = compare.compare(before, after).shown
    assert (number.what, number.column, number.before, number.after) == ("column 1", "moved", "0.2", "0.9")


def test_a_value_that_only_one_report_shows_is_a_change() -> None:
    before, after = evidence(text("# T"), look(0.1)), evidence(text("# T"), look(0.1, 0.2))
    [change] = compare.compare(before, after).shown
    assert (change.before, change.after) == ("", "0.2")
    assert said(after, before)[-1] == "1 value of 4 differs, in: T: columns."


def test_a_replay_that_gives_the_same_is_ok_and_one_that_does_not_is_no() -> None:
    one = evidence(text("# T"), look(0.1))
    same = replay.judge("ef" * 32, one, replace(one, bound_to=BOUND | {"packages": {"python": "3.12.1"}}), 1.0)
    assert same.exit_code == 0
    assert same.verdict.sentence == "the replay gives the same verdict and the same 3 values."
    assert "python: 3.11.7 became 3.12.1." in same.said
    unseen = replay.judge("ef" * 32, one, evidence(text("# T"), look(0.1000001)), 1.0)
    assert unseen.exit_code == 0, "numbers are compared as they are shown"
    differs = replay.judge("ef" * 32, one, evidence(text("# T"), look(0.2)), 1.0)
    assert differs.exit_code == 1
    assert differs.verdict.sentence == "the replay differs from report efefefefefef in 1 value."
    reworded = replay.judge("ef" * 32, one, evidence(text("# T"), look(0.1), last=concluding("ok", "other.")), 1.0)
    assert reworded.exit_code == 1


def kept(folder: Path, *cells: dict[str, Any]) -> None:
    verdict = {"status": "ok", "sentence": "nothing moved.", "action": ""}
    store_evidence.write(folder, {"verdict": verdict, "kind": "own", "endpoint": "flights", "bound_to": BOUND})
    files.write(notebook(*cells), folder / "report.ipynb")


def test_a_notebook_that_concludes_other_than_its_verdict_is_noticed(tmp_path: Path) -> None:
    kept(tmp_path, look(0.1), concluding("ok", "nothing moved."))
    assert compare.read(tmp_path).verdict.status == "ok"
    kept(tmp_path, look(0.1), concluding("ok", "all is well."))
    with pytest.raises(Corrupt, match=r"report\.ipynb concludes other than verdict\.json beside it"):
        compare.read(tmp_path)


def test_a_report_that_was_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no verdict at"):
        compare.read(tmp_path)


def test_many_changes_are_shown_in_part_and_all_are_data() -> None:
    before, after = evidence(text("# T"), look(*range(100))), evidence(text("# T"), look(*range(1, 101)))
    found = compare.compare(before, after)
    [section] = compare.table(found.all)
    assert section.title == "what differs (first 60 of 100)"
    assert len(section.rows) == 60


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_output_is_read_and_told_without_harm(hostile: str) -> None:
    cells = (text(f"# {hostile}"), code("x", outputs=[html(hostile), html(f"<table><tr><td>{hostile}</table>")]))
    before, after = evidence(*cells), evidence()
    found = compare.compare(before, after)
    result = compare.DiffResult("a" * 64, "b" * 64, tuple(said(before, after)), found.all)
    assert "<script>window" not in result._repr_html_()
    assert str(result)
