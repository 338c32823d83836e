"""Results render themselves, the same facts in every form, and escape what data can contain."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.reports import show
from mlprod_nb.results import VERDICT_MIME, Result, Section, Verdict, duration, format_interval, format_value, percent
from mlprod_nb.results.page import escaped, table


@dataclass(frozen=True)
class Row:
    name: str
    value: float


@dataclass(frozen=True)
class Example(Result):
    verdict: Verdict
    rows: tuple[Row, ...]
    when: datetime
    total: int

    _hidden = ("total",)


EXAMPLE = Example(
    Verdict("alarm", "too late.", "%mlprod rollback flights"),
    (Row("a|b", 0.123456), Row("<script>alert(1)</script>", float("nan"))),
    datetime(2013, 4, 1, tzinfo=UTC),
    7,
)


def test_text_markdown_and_html_say_the_same() -> None:
    for rendered in (str(EXAMPLE), EXAMPLE._repr_markdown_(), EXAMPLE._repr_html_()):
        assert "too late." in rendered
        assert "0.1235" in rendered
        assert "2013-04-01T00:00:00Z" in rendered
        assert "%mlprod rollback flights" in rendered


def test_html_escapes_what_data_can_contain() -> None:
    assert "<script>" not in EXAMPLE._repr_html_()


def test_a_share_that_rounds_to_nothing_has_no_sign() -> None:
    assert [percent(share) for share in (-1e-5, 0.0, -0.014)] == ["0.0 %", "0.0 %", "-1.4 %"]


def test_html_needs_nothing_from_elsewhere() -> None:
    assert "http" not in EXAMPLE._repr_html_()
    assert "url(" not in EXAMPLE._repr_html_()


def test_markdown_tables_keep_their_columns() -> None:
    assert "a\\|b" in EXAMPLE._repr_markdown_()


def test_a_result_is_data_that_json_can_hold() -> None:
    data = json.loads(EXAMPLE.to_json())
    assert data["rows"][1]["value"] is None
    assert data["total"] == 7


def test_a_frame_has_one_row_an_item() -> None:
    assert list(EXAMPLE.to_frame()["name"]) == ["a|b", "<script>alert(1)</script>"]


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("alarm", 1)])
def test_only_an_alarm_means_no(status: str, code: int) -> None:
    assert Verdict(status, "…").exit_code == code  # type: ignore[arg-type]
    assert EXAMPLE.exit_code == 1


def test_a_verdict_marks_its_cell() -> None:
    bundle = EXAMPLE.verdict._repr_mimebundle_()
    assert bundle[VERDICT_MIME] == {"status": "alarm", "sentence": "too late.", "action": "%mlprod rollback flights"}
    assert bundle["text/plain"] == "✗ ALARM: too late."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        (0.000123456, "0.0001235"),
        (1234567, "1,234,567"),
        (12345.678, "12,346"),
        ([1, 2], "1, 2"),
        (datetime(2013, 4, 1, 8, tzinfo=timezone(timedelta(hours=2))), "2013-04-01T06:00:00Z"),
    ],
)
def test_values_are_written_for_readers(value: object, shown: str) -> None:
    assert format_value(value) == shown


@dataclass(frozen=True)
class Made(Result):
    page: Path
    notes: tuple[str, ...] = ()


def test_a_file_below_the_current_directory_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    assert str(Made(here / ".mlprod" / "index.html")).endswith("page  .mlprod/index.html")
    assert str(Made(elsewhere / "index.html")).endswith(f"page  {elsewhere / 'index.html'}")
    assert Made(here / "index.html").to_dict()["page"] == str(here / "index.html")
    here.rmdir()
    assert str(Made(here / "index.html")).endswith(f"page  {here / 'index.html'}")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("index.html", "./index.html"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("a #1 50% ?.html", "./a%20%231%2050%25%20%3F.html"),
        ('"><script>', "./%22%3E%3Cscript%3E"),
        ("flüge.html", "./fl%C3%BCge.html"),
    ],
)
def test_a_file_is_a_link_from_where_the_notebook_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert f'<a href="{target}">{html.escape(name)}</a>' in Made(tmp_path / name)._repr_html_()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert f'<a href=".{target}">' in Made(tmp_path / name)._repr_html_()
    (tmp_path / name).unlink()
    assert "<a " not in Made(tmp_path / name)._repr_html_()


def test_sentences_follow_each_other_without_a_comma(tmp_path: Path) -> None:
    assert str(Made(tmp_path, ("One.", "Two."))).endswith("notes  One. Two.")
    assert str(Made(tmp_path, ("one", "two"))).endswith("notes  one, two")


def test_numpy_scalars_become_plain_values() -> None:
    row = Row("x", np.float32(1.5))  # type: ignore[arg-type]
    assert Example(Verdict("ok", ""), (row,), EXAMPLE.when, 1).to_dict()["rows"][0]["value"] == 1.5


@dataclass(frozen=True)
class Told:
    sentence: str
    digest: str
    next: str


@dataclass(frozen=True)
class Telling(Result):
    told: tuple[Told, ...]


def test_a_long_cell_is_broken_between_words_and_a_line_to_run_is_not() -> None:
    told = Told("word " * 30, "f" * 64, "%mlprod report flights drift " + "--since 2013-04-01 " * 4)
    text = str(Telling((told,)))
    assert text.count("word") == 30
    assert max(line.count("word") for line in text.splitlines()) == 12
    assert told.digest in text
    assert told.next.strip() in text


def test_a_column_of_numbers_has_its_head_at_the_right_and_a_mixed_one_does_not() -> None:
    section = Section("", ("name", "n", "mixed"), (("a", 1, 1), ("b", None, "x")))
    shown = show.Part("", (section,))._repr_html_()
    assert '<th scope="col" class="n">n</th>' in shown
    assert '<th scope="col">mixed</th>' in shown


def test_a_column_in_which_no_row_says_anything_is_left_out_and_one_of_dashes_is_not() -> None:
    shown = show.Part("", (Section("", ("name", "note", "p99"), (("a", "", None), ("b", "", None))),))
    for form in (str(shown), shown._repr_markdown_(), shown._repr_html_()):
        assert "note" not in form
        assert "p99" in form
    assert "note" in str(show.Part("", (Section("", ("name", "note"), ()),)))


def test_shares_and_what_is_not_known_stand_where_the_numbers_do() -> None:
    section = Section("", ("name", "share", "n"), (("a", "5.4 %", 1), ("b", "-30.8 %", None), ("c", None, 2)))
    shown = show.Part("", (section,))._repr_html_()
    assert '<th scope="col" class="n">share</th>' in shown
    assert '<td class="n">5.4\N{NO-BREAK SPACE}%</td>' in shown
    assert shown.count('<td class="n">–</td>') == 2


def test_a_number_stays_with_its_percent_sign_on_a_page_and_a_line_to_run_is_as_it_is_typed() -> None:
    @dataclass(frozen=True)
    class Found(Result):
        share: str

        def headline(self) -> str:
            return "fell by 5 %, run route champion=50 %mlprod"

    page = Found("half (95 % interval)")._repr_html_()
    assert "5\N{NO-BREAK SPACE}%, run" in page
    assert "95\N{NO-BREAK SPACE}% interval" in page
    assert "champion=50 %mlprod" in page
    assert "5 %" in str(Found(""))


def test_a_date_and_an_option_are_not_broken_at_their_hyphens_on_a_page() -> None:
    rows = (("report flights drift --since 2013-04-01", "2013-04-01T10:11:12Z"),)
    [_, first, second] = [part.partition("</td>")[0] for part in table(Section("", ("line", "at"), rows)).split("<td")]
    assert first.endswith('drift <span class="s">--since</span> <span class="s">2013-04-01</span>')
    assert second.endswith('<span class="s">2013-04-01T10:11:12Z</span>')
    assert escaped("a--b <--c> x-2013-04-011") == 'a--b &lt;<span class="s">--c</span>&gt; x-2013-04-011'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.03, "0.03 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (3 * 3600, "3 h"),
        (47 * 3600, "47 h"),
        (2.1 * 86_400, "2.1 days"),
        (4_880 * 86_400, "4,880 days"),
    ],
)
def test_time_spans_are_told_in_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("bounds", "options", "told"),
    [
        ((0.715, 0.73), {}, "0.715 to 0.730"),
        ((0.7296, 0.8), {}, "0.73 to 0.80"),
        ((-0.0005, 0.0123), {"signed": True}, "-0.0005 to +0.0123"),
        ((0.0, 0.25), {}, "0.00 to 0.25"),
        ((1.5, 123.0), {}, "1.5 to 123"),
        ((0.0004, 12.34), {}, "0.0004 to 12.3"),
        ((12.0, 12.5), {"to": "…"}, "12.0 … 12.5"),
        ((1.0, 2.0), {"digits": 4}, "1 to 2"),
        ((-0.01, 0.02341), {"digits": 4, "signed": True}, "-0.01000 to +0.02341"),
        ((1e-09, 2.5e-05), {}, "1e-09 to 2.5e-05"),
        ((float("-inf"), 0.5), {}, "-inf to 0.5"),
    ],
)
def test_an_interval_has_as_many_decimals_at_both_ends(
    bounds: tuple[float, float], options: dict[str, Any], told: str
) -> None:
    assert format_interval(*bounds, **options) == told
