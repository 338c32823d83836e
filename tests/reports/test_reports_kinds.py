"""A user's own report: copied from ours, found by its name, given what it declares, and concluded by one verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import notebooks
from mlprod_nb.errors import InvalidInput, MlprodError, NotFound, Refused, UsageError
from mlprod_nb.reports import kinds, stated
from mlprod_nb.results import VERDICT_MIME, Cause, Result, Verdict
from tests.notebook_files import PARAMETERS, code, text, verdict, write

OFFERED = {"workspace": "/w", "endpoint": "flights", "pinned": "{}"}


def test_a_copy_is_the_user_s_own_and_has_its_name(tmp_path: Path) -> None:
    made = kinds.new("late_flights", "performance", tmp_path)
    assert made.notebook == "notebooks/late_flights_report.ipynb"
    assert made.run_it == "mlprod report ENDPOINT late_flights"
    assert kinds.names(tmp_path) == ["abtest", "drift", "late_flights", "performance"]
    copy, original = notebooks.read(kinds.source("late_flights", tmp_path)), kinds.source("performance", tmp_path)
    assert copy["cells"][0]["source"].startswith("# Late flights report\n")
    assert copy["cells"][1:] == notebooks.read(original)["cells"][1:]


def test_a_copy_of_the_same_name_takes_the_place_of_ours(tmp_path: Path) -> None:
    kinds.new("drift", "drift", tmp_path)
    assert kinds.source("drift", tmp_path) == tmp_path / "notebooks" / "drift_report.ipynb"


@pytest.mark.parametrize(
    ("name", "like", "error", "said"),
    [
        ("x", "drfit", NotFound, "there is no kind of report 'drfit'. Did you mean 'drift'?"),
        ("there", "drift", Refused, "notebooks/there_report.ipynb is there already."),
        ("../x", "drift", UsageError, "'../x' cannot be a report's name."),
        ("", "drift", UsageError, "'' cannot be a report's name."),
        ("_x", "drift", UsageError, "'_x' cannot be a report's name."),
    ],
)
def test_what_cannot_be_copied_is_told_in_one_line(
    tmp_path: Path, name: str, like: str, error: type[MlprodError], said: str
) -> None:
    kinds.new("there", "drift", tmp_path)
    with pytest.raises(error) as caught:
        kinds.new(name, like, tmp_path)
    assert str(caught.value).startswith(said)


def test_any_notebook_of_the_workspace_with_the_parameters_of_a_report_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "notebooks" / "mine.ipynb", code(PARAMETERS, "parameters"), verdict())
    assert kinds.source("mine", tmp_path) == path
    assert kinds.given(path, OFFERED, {}) == OFFERED
    with pytest.raises(NotFound, match="there is no kind of report 'notebooks/mine'"):
        kinds.source("notebooks/mine", tmp_path)


def test_a_report_is_given_what_it_declares_and_must_take_the_rows_it_is_bound_to(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", code('endpoint: str = ""\npinned: str = ""\ntop: int = 3', "parameters"))
    assert kinds.given(path, OFFERED, {"top": 5}) == {"endpoint": "flights", "pinned": "{}", "top": 5}
    with pytest.raises(UsageError, match="parameter 'pinned' is set by the report itself"):
        kinds.given(path, OFFERED, {"pinned": "all"})
    for cell in (code('endpoint = ""', "parameters"), text("# None")):
        with pytest.raises(InvalidInput, match="is no report: its parameters cell does not declare"):
            kinds.given(write(tmp_path / "b.ipynb", cell), OFFERED, {})


# -- parameters as they are typed --------------------------------------------------------------------------------------

KNOWN = {name: notebooks.Parameter(name, kind, False) for name, kind in (("word", "str"), ("top", "int"), ("x", ""))}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", {}),
        ("top=5 word=5", {"top": 5, "word": "5"}),
        ("top=5, x=false", {"top": 5, "x": False}),
        ("x=[1, 2]", None),
        ("'x=[1, 2]' word='a b=c'", {"x": [1, 2], "word": "a b=c"}),
        ("x=plain other=1.5", {"x": "plain", "other": 1.5}),
        ("top", None),
        ("2top=1", None),
        ("top=1 top=2", None),
        ("word='a", None),
    ],
)
def test_parameters_are_read_as_typed_or_refused(typed: str, read: dict[str, Any] | None) -> None:
    if read is None:
        with pytest.raises(UsageError):
            notebooks.parse(typed, KNOWN)
    else:
        assert notebooks.parse(typed, KNOWN) == read


# -- verdicts as they are stated ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Concluded(Result):
    verdict: Verdict


SAID = Verdict("alarm", "it fell.", "mlprod retrain flights", (Cause("performance", "alarm"),))


def test_a_verdict_is_stated_by_a_word_and_a_sentence_and_is_marked_in_the_notebook() -> None:
    found = stated.state("warn", " answers are slow. ", "mlprod status")
    assert found.verdict == Verdict("warn", "answers are slow.", "mlprod status")
    assert found.exit_code == 0
    bundle = found._repr_mimebundle_()
    assert json.loads(json.dumps(bundle[VERDICT_MIME]))["sentence"] == "answers are slow."
    assert bundle == found.verdict._repr_mimebundle_()


@pytest.mark.parametrize("said", [SAID, Concluded(SAID)])
def test_a_verdict_is_stated_by_a_result_that_has_one_with_its_causes(said: Any) -> None:
    assert stated.state(said, "", "").verdict == SAID
    assert stated.state(said, "", "mlprod status").verdict.action == "mlprod status"
    assert stated.state(said, "", "").exit_code == 1


@pytest.mark.parametrize(
    ("said", "sentence", "message"),
    [
        ("wran", "x", "there is no verdict 'wran'. Did you mean 'warn'?"),
        ("ok", " ", "a verdict needs a sentence after ok."),
        (3, "", "a int has no verdict."),
        (SAID, "x", "a result says its sentence itself."),
    ],
)
def test_what_states_no_verdict_is_told_in_one_line(said: Any, sentence: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stated.state(said, sentence, "")
    assert str(caught.value).startswith(message)
