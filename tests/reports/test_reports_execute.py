"""Reports run whole or not at all, say what failed, and are found and approved by digest."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import Any

import pytest

from mlprod_nb import reports
from mlprod_nb.errors import ExecutionFailed, NotFound, UsageError
from mlprod_nb.reports import verdicts
from mlprod_nb.results import Verdict
from mlprod_nb.store import Store, evidence, report_index
from tests.notebook_files import PARAMETERS, code, notebook, text, verdict, write

NOW = datetime(2013, 5, 1, 6, tzinfo=UTC)
PINNED = json.dumps(
    {
        "endpoint": "flights",
        "rows": 3,
        "segments": [["20130401T000000000000Z-00000001.seg", 100]],
        "since": None,
        "until": None,
    }
)
REQUEST = reports.ReportRequest("flights", "own", PINNED, ("flights/4", "flights/3"), timeout_seconds=120)


def run(root: Path, store: Store, *cells: dict[str, Any], **changes: Any) -> reports.ReportResult:
    write(root / "notebooks" / "own_report.ipynb", text("# Own\n\n## Part"), code(PARAMETERS, "parameters"), *cells)
    return reports.run_report(replace(REQUEST, **changes), root=root, store=store, clock=lambda: NOW)


def failed(root: Path, store: Store, *cells: dict[str, Any]) -> reports.ReportFailed:
    with pytest.raises(reports.ReportFailed) as caught:
        run(root, store, *cells)
    with store.read() as connection:
        assert report_index.list_reports(connection) == []
    return caught.value


def test_a_page_of_a_failure_says_what_the_report_before_said_and_that_nothing_was_compared(
    tmp_path: Path, store: Store
) -> None:
    run(tmp_path, store, verdict("alarm", "three columns drifted."))
    with pytest.raises(reports.ReportFailed) as caught:
        run(tmp_path, store, code("1 / 0"), verdict())
    page = caught.value.page.read_text(encoding="utf-8")
    assert "The own report before, of 2013-05-01 06:00 UTC: alarm, three columns drifted." in page
    assert "This report could not look: what was open stays open." in page
    assert "mlprod diff" not in page


def test_a_report_is_kept_whole_bound_and_indexed_and_the_same_inputs_give_the_same_digest(
    tmp_path: Path, store: Store
) -> None:
    cells = (code("print(endpoint, pinned)"), verdict("alarm", "three columns drifted."))
    first = run(tmp_path, store, *cells)
    assert first.verdict == Verdict("alarm", "three columns drifted.", "%mlprod status")
    assert first.exit_code == 1
    folder = first.page.parent
    assert folder == tmp_path / "reports" / "flights" / "own" / f"20130501T060000Z-{first.digest[:12]}"
    assert sorted(file.name for file in folder.iterdir()) == ["index.html", "report.ipynb", "verdict.json"]
    content = evidence.verify(folder)
    assert content["digest"] == first.digest
    bound = content["bound_to"]
    assert bound["model_versions"] == ["flights/3", "flights/4"]
    assert bound["log_range"]["rows"] == 3
    assert len(bound["log_range"]["digest"]) == 64
    assert bound["packages"]["numpy"]
    assert str(tmp_path) not in json.dumps(content)
    assert "Three columns drifted." in first.page.read_text(encoding="utf-8")
    assert first.digest in first.page.read_text(encoding="utf-8")

    second = run(tmp_path, store, *cells)
    assert second.digest == first.digest
    assert second.page.parent.name == f"{folder.name}-2"
    with store.read() as connection:
        [record] = report_index.list_reports(connection)
    assert tmp_path / record.path == second.page.parent
    assert not list(folder.parent.glob(".building-*"))


def test_a_failed_report_leaves_its_page_and_notebook_and_no_verdict(tmp_path: Path, store: Store) -> None:
    error = failed(tmp_path, store, code("print('kept')\nraise LookupError('no rows')"), verdict())
    assert isinstance(error, ExecutionFailed)
    # The parameters that were injected are a cell of their own.
    assert (error.reason, error.cell_index, error.error_name, error.error_message) == (
        "error",
        3,
        "LookupError",
        "no rows",
    )
    assert error.page.parent.name == "20130501T060000Z-failed"
    assert sorted(file.name for file in error.page.parent.iterdir()) == ["index.html", "report.ipynb"]
    page = error.page.read_text(encoding="utf-8")
    assert "Cell 4 raised LookupError: no rows" in page
    assert "kept" in page
    assert str(error).startswith("the own report of 'flights' failed in cell 4: LookupError: no rows. See ")
    with pytest.raises(NotFound):
        evidence.verify(error.page.parent)


def test_a_notebook_that_shows_no_verdict_is_a_failed_report(tmp_path: Path, store: Store) -> None:
    error = failed(tmp_path, store, code("'all is well'"))
    assert (error.reason, error.cell_index) == ("verdict", None)
    assert "no verdict: it shows none" in str(error)
    assert "The report came to no verdict" in error.page.read_text(encoding="utf-8")
    assert not list(error.page.parents[1].glob(".building-*"))


def test_a_report_for_which_there_is_no_place_at_all_is_one_line(tmp_path: Path, store: Store) -> None:
    (tmp_path / "reports").write_text("a file where the folder should be")
    with pytest.raises(ExecutionFailed, match=r"the own report of 'flights' cannot be kept in .*own: .*Make room"):
        run(tmp_path, store, verdict())


def test_a_kernel_that_died_is_named_so_in_the_shell(tmp_path: Path, store: Store) -> None:
    with pytest.raises(reports.ReportFailed, match=r"failed in cell \d: its kernel died\. See "):
        run(tmp_path, store, code("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), verdict())


def test_a_wrong_option_leaves_nothing(tmp_path: Path, store: Store) -> None:
    with pytest.raises(NotFound, match=r"there is no parameter 'pined'. Did you mean 'pinned'"):
        run(tmp_path, store, verdict(), options={"pined": "x"})
    assert not [path for path in (tmp_path / "reports").rglob("*") if path.is_file() or path.name.startswith(".")]


def test_a_report_runs_in_the_kernel_that_is_named_and_is_bound_to_its_packages(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "other"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": argv, "display_name": "Other", "language": "python", "env": {"OTHER_KERNEL": "yes"}}
    (folder / "kernel.json").write_text(json.dumps(about))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    found = run(tmp_path, store, code("import os\nprint('in', os.environ['OTHER_KERNEL'])"), verdict(), kernel="other")
    assert "in yes" in found.notebook.read_text(encoding="utf-8")
    bound = evidence.verify(found.page.parent)["bound_to"]
    assert bound["kernel"] == "other"
    assert bound["packages"]["python"] == python_version()
    with pytest.raises(NotFound, match=r"there is no kernel 'othr'. Did you mean 'other'"):
        run(tmp_path, store, verdict(), kernel="othr")


def test_an_unknown_kind_names_the_nearest(tmp_path: Path, store: Store) -> None:
    with pytest.raises(NotFound, match=r"there is no kind of report 'drfit'. Did you mean 'drift'"):
        run(tmp_path, store, verdict(), kind="drfit")


@pytest.mark.parametrize(
    "pinned", ["", "{}", "[]", PINNED.replace("flights", "boats"), PINNED.replace("2013", "../2013")]
)
def test_a_log_range_that_is_none_or_of_another_endpoint_is_refused(tmp_path: Path, store: Store, pinned: str) -> None:
    with pytest.raises(UsageError):
        run(tmp_path, store, verdict(), pinned=pinned)


# -- verdicts ----------------------------------------------------------------------------------------------------------


def shown(*data: Any) -> dict[str, Any]:
    outputs = [
        {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.mlprod.verdict+json": item}}
        for item in data
    ]
    return code("v", outputs=outputs)


def test_the_verdict_is_read_wherever_it_stands() -> None:
    said = {"status": "warn", "sentence": "s", "action": "a"}
    assert verdicts.read(notebook(shown(said), code("x"))) == Verdict("warn", "s", "a")


@pytest.mark.parametrize(
    ("cells", "message", "cell"),
    [
        ([code("x")], "shows none", None),
        ([shown({"status": "ok", "sentence": "s"}), shown({"status": "ok", "sentence": "s"})], "shows 2 verdicts", 1),
        ([shown({"status": "ok", "sentence": "s"}, {"status": "ok", "sentence": "s"})], "shows 2 verdicts", 0),
        ([shown({"status": "fine", "sentence": "s"})], "malformed", 0),
        ([shown({"status": "ok", "sentence": " "})], "malformed", 0),
        ([shown({"status": "ok"})], "lacks a status or a sentence", 0),
        ([shown("ok")], "lacks a status or a sentence", 0),
        ([shown(None)], "lacks a status or a sentence", 0),
    ],
)
def test_anything_but_one_well_formed_verdict_is_a_problem(
    cells: list[dict[str, Any]], message: str, cell: int | None
) -> None:
    with pytest.raises(verdicts.VerdictProblem, match=message) as caught:
        verdicts.read(notebook(*cells))
    assert caught.value.cell_index == cell
