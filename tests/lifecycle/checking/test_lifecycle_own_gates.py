"""Gates of a model's own: notebooks and functions, their verdicts, their options, what is archived of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlprod_nb import settings
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.gates import GateOutcome, GateReport
from mlprod_nb.registry import attachments
from tests.lifecycle.checking.held_out import more_flights
from tests.lifecycle.conftest import Site, make_site

#: The gates that take time and are not the matter here.
QUICK = """off = ["loads", "memory", "speed", "latency", "robustness"]
"""
VERDICT = "from mlprod_nb.results import Verdict\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("own"))
    yield site
    site.workspace.context.store.close()


def notebook(path: Path, *cells: str, parameters: str = "") -> None:
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    if parameters:
        made.insert(0, nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def check(site: Site, text: str, **options: Any) -> GateReport:
    (site.workspace.root / settings.FILE_NAME).write_text(f"[models.flights.gates]\n{QUICK}{text}", encoding="utf-8")
    site.workspace.__dict__.pop("_context", None)
    return site.workspace.check("flights/2", **options)


def outcome(report: GateReport, name: str) -> GateOutcome:
    found = report.outcome(name)
    assert found is not None
    return found


def test_a_notebook_that_ends_in_a_verdict_is_a_gate_and_is_archived_executed(site: Site) -> None:
    declared = 'version: str = ""\nagainst: str = ""\nheld_out: str = ""\nworkspace: str = ""\nleast: int = 1'
    body = 'Verdict("ok" if rows >= least else "alarm", f"{version} beside {against}, {rows} rows, {least} needed.")'
    rows = "import pandas as pd\nrows = len(pd.read_parquet(held_out))"
    notebook(site.workspace.root / "notebooks" / "fairness.ipynb", VERDICT, rows, body, parameters=declared)
    data, target = more_flights(80)
    text = 'notebooks = ["fairness"]\nrequired = ["fairness"]\n[models.flights.gates.fairness]\nleast = 70\n'
    report = check(site, text, holdout=data, target=target)
    found = outcome(report, "fairness")
    assert (found.status, found.required) == ("ok", True)
    assert found.sentence == "Flights/2 beside flights/1, 80 rows, 70 needed."
    context = site.workspace.context
    version = context.registry.resolve("flights/2")
    kept = attachments.read(context.registry, version, f"gates/{report.digest[:16]}/fairness.ipynb")
    assert b"80 rows, 70 needed." in kept
    assert (site.workspace.root / report.page).with_name("fairness.ipynb").read_bytes() == kept
    assert not list((site.workspace.root / report.page).parent.glob("*rows*"))
    refused = check(site, text.replace("70", "90"), holdout=data, target=target)
    assert (outcome(refused, "fairness").status, refused.exit_code) == ("alarm", 1)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (("1 + 1",), "the notebook fairness.ipynb came to no verdict: it shows none"),
        ((VERDICT + 'Verdict("ok", "a")', 'Verdict("ok", "b")'), "it shows 2 verdicts"),
        (("1 / 0",), "cell 1 of fairness.ipynb failed: ZeroDivisionError: division by zero"),
        (("import os\nos._exit(1)",), "its kernel died"),
    ],
    ids=["none", "two", "raises", "dies"],
)
def test_a_notebook_without_one_verdict_is_a_no_and_is_archived_all_the_same(
    cells: tuple[str, ...], words: str, site: Site
) -> None:
    notebook(site.workspace.root / "notebooks" / "fairness.ipynb", *cells)
    report = check(site, 'notebooks = ["fairness"]\n')
    found = outcome(report, "fairness")
    assert (found.status, report.exit_code) == ("alarm", 1)
    assert words in found.sentence[:1].lower() + found.sentence[1:]
    assert (site.workspace.root / report.page).with_name("fairness.ipynb").is_file()
    assert len(found.notebook_sha256) == 64


def test_a_notebook_that_hangs_ends_at_its_limit(site: Site) -> None:
    notebook(site.workspace.root / "notebooks" / "slow.ipynb", "while True:\n    pass")
    report = check(site, 'notebooks = ["slow"]\n[reports]\ntimeout_seconds = 3.0\n')
    assert "it reached the limit of 3 s" in outcome(report, "slow").sentence


FUNCTIONS = """
from mlprod_nb.gates import GateOutcome
from mlprod_nb.results import Verdict

def small(inspection, most=100):
    count = len(inspection.bundle.signature.columns)
    return Verdict("ok" if count <= most else "alarm", f"{inspection.subject} takes {count} columns.")

def told(inspection):
    return GateOutcome("anything", "warn", "Look at it.")

def silent(inspection):
    pass
"""


def test_functions_of_the_workspace_are_gates_with_options(site: Site) -> None:
    (site.workspace.root / "own.py").write_text(FUNCTIONS, encoding="utf-8")
    text = 'functions = ["own.py:small", "own.py:told"]\n'
    report = check(site, text)
    assert outcome(report, "small").sentence == "flights/2 takes 2 columns."
    assert (outcome(report, "told").status, outcome(report, "told").name) == ("warn", "told")
    held = check(site, text + "[models.flights.gates.small]\nmost = 1\n")
    assert outcome(held, "small").status == "alarm"
    assert check(site, text.replace("own.py:told", "own.py:silent")).exit_code == 1
    strange = check(site, text + "[models.flights.gates.small]\nleast = 1\n")
    assert "unexpected keyword argument 'least'" in outcome(strange, "small").sentence


def test_a_function_that_returns_no_verdict_is_a_no(site: Site) -> None:
    (site.workspace.root / "own.py").write_text(FUNCTIONS, encoding="utf-8")
    found = outcome(check(site, 'functions = ["own.py:silent"]\n'), "silent")
    assert (found.status, found.sentence) == ("alarm", "Own.py:silent returned a NoneType, not a verdict.")
    missing = outcome(check(site, 'functions = ["own.py:smal"]\n'), "smal")
    assert "There is no function in own.py 'smal'. Did you mean 'small'" in missing.sentence


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ('notebooks = ["fairnes"]\n', NotFound, "no notebook 'fairnes'. Did you mean 'fairness'"),
        ('functions = ["own.py"]\n', UsageError, "'own.py' names no function"),
        ('functions = ["onw.py:small"]\n', NotFound, "no file of a gate 'onw.py'. Did you mean 'own.py'"),
        ('functions = ["own.py:small", "own.py:small"]\n', UsageError, "'small' has a name that is taken"),
    ],
)
def test_what_names_no_gate_is_refused(text: str, kind: type[Exception], words: str, site: Site) -> None:
    (site.workspace.root / "own.py").write_text(FUNCTIONS, encoding="utf-8")
    notebook(site.workspace.root / "notebooks" / "fairness.ipynb", "1")
    with pytest.raises(kind) as caught:
        check(site, text)
    assert words in str(caught.value)
