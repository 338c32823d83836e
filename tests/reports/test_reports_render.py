"""A report's page: what it shows, what it leaves out, and that it asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import html as html_entities
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pygments
import pytest

from mlprod_nb.reports import markup, render
from mlprod_nb.reports.exporter import ReportExporter
from mlprod_nb.results import VERDICT_MIME
from tests.notebook_files import code, html, notebook, text
from tests.reports.pages import BOUND, REPORT, page, shown


def test_the_page_opens_with_the_verdict_and_its_line_and_ends_with_what_it_is_bound_to() -> None:
    content = page(
        text("# Drift\n\nWhy."), text("## Evidence"), shown("alarm", "3 columns <drifted>.", "%mlprod retrain x")
    )
    banner, evidence, end = (content.index(mark) for mark in ("<h1>", 'id="evidence"', '<footer id="bound-to"'))
    assert "<h1>3 columns &lt;drifted&gt;.</h1>" in content
    assert content.index("Alarm\n") < banner < content.index("%mlprod retrain x") < evidence < end
    for fact in ("ef" * 32, "flights/3", "ab" * 32, "cd" * 32, "numpy <b>1.26.4</b>", "4.2 s"):
        assert content.index(fact, end) > end or fact == "4.2 s"
    assert "<title>Alarm: Drift report of flights</title>" in content
    assert "2013-04-01 to the last row" in content
    assert "24,512" in content


def test_the_heading_is_what_the_verdict_says_first_and_its_reasons_are_a_list() -> None:
    content = page(text("# Drift"), shown("alarm", "accuracy fell; the <label> moved; x_2 drifted."))
    assert "<h1>Accuracy fell</h1>" in content
    assert "<li>The &lt;label&gt; moved</li>" in content
    assert "<li>x_2 drifted</li>" in content


@pytest.mark.parametrize(("status", "word"), [("ok", "OK"), ("warn", "Warning"), ("alarm", "Alarm")])
def test_a_state_is_told_by_a_word_and_a_shape_besides_its_colour(status: str, word: str) -> None:
    content = page(shown(status))
    badge = content.split('<p class="badge">')[1].split("</p>")[0]
    assert word in badge
    shapes = {"ok": "<circle", "warn": "M12 1.6", "alarm": "M7.4 1h9.2"}
    assert [name for name, shape in shapes.items() if shape in badge] == [status]


def test_the_page_has_landmarks_a_language_and_a_policy() -> None:
    content = page(text("# A\n\n## One\n\n### Part\n\n## Two"), shown())
    for part in (
        '<html lang="en">',
        "<header>",
        '<nav aria-label="Contents">',
        "<main ",
        "<footer ",
        'name="viewport"',
    ):
        assert part in content
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in content
    assert content.count("<h1") == 1


def test_the_policy_lets_the_page_s_own_script_run_and_no_other() -> None:
    content = page(text("# A"), shown())
    [script] = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri 'none'" in content


CHANGES = [
    {"change": change, "cause": cause, "sentence": sentence, "since": since, "note": note}
    for change, cause, sentence, since, note in (
        ("recovered", "quality: hour", "missing.", "2013-04-01T06:00:00Z", ""),
        ("acknowledged", "drift: <dest>", "old.", "2013-04-02T06:00:00Z", "by ann"),
        ("new", "performance", "it fell.", "", ""),
    )
]
BEFORE = {"digest": "12" * 32, "status": "ok", "sentence": "nothing <moved>.", "created_at": "2013-04-01T06:00:00Z"}


def test_after_the_verdict_comes_what_changed_since_the_last_report_then_the_line_to_run() -> None:
    report = {**REPORT, "since": {"before": BEFORE, "changes": CHANGES}}
    content = page(text("# Drift"), shown("alarm", "it fell.", "%mlprod retrain x"), report=report)
    opening = content[content.index("<h1>") : content.index('id="evidence"')]
    words = (
        "It fell.",
        "New",
        "Acknowledged",
        "Recovered",
        "nothing &lt;moved&gt;",
        "mlprod diff",
        "%mlprod retrain x",
    )
    assert sorted(map(opening.index, words)) == [opening.index(word) for word in words]
    assert "drift: &lt;dest&gt; <span>since 2013-04-02 06:00 UTC; by ann; then: old.</span>" in opening
    assert '<b><i aria-hidden="true">●</i> New</b> performance</li>' in opening
    assert f"mlprod diff {'12' * 6} {'ef' * 6}" in opening


def test_a_verdict_that_the_report_before_gave_too_is_not_said_twice() -> None:
    before = {**BEFORE, "status": "alarm", "sentence": "it fell."}
    content = page(shown("alarm", "it fell."), report={**REPORT, "since": {"before": before, "changes": []}})
    assert "The drift report before, of 2013-04-01 06:00 UTC, said the same. What changed:" in content
    assert "of 2013-04-01 06:00 UTC: alarm, it fell." in page(
        shown("ok", "it fell."), report={**REPORT, "since": {"before": before, "changes": []}}
    )


def test_a_first_report_says_so_and_one_without_alerts_that_nothing_is_open() -> None:
    content = page(shown(), report={**REPORT, "since": {"before": None, "changes": []}})
    assert "This is the first drift report of flights." in content
    assert "Nothing is open, and nothing is new." in content
    assert "mlprod diff" not in content
    assert "Since the last report" not in page(shown())


def test_the_contents_lead_to_the_headings() -> None:
    content = page(text("# A\n\n## One & two\n\n## One & two"), text("### `code` part"), shown())
    links = re.findall(r'<a href="#(s-[^"]+)">([^<]+)</a>', content)
    assert [name for _, name in links] == ["One &amp; two", "One &amp; two", "code part"]
    assert len({anchor for anchor, _ in links}) == 3
    assert all(f'id="{anchor}"' in content for anchor, _ in links)


def test_all_code_is_hidden_behind_one_toggle_and_tags_are_honoured() -> None:
    content = page(
        code("x_shown = 1"),
        code("x_hide = 1", "hide-input"),
        code("x_remove = 1", "remove-input", outputs=[html("<p>kept output</p>")]),
        code("x_cell = 1", "remove-cell", outputs=[html("<p>gone</p>")]),
        code("x_parameters = 1", "injected-parameters"),
        shown(),
    )
    assert content.count('id="show-code"') == 1
    for name in ("x_shown", "x_hide"):
        assert content.index('id="show-code"') < content.index('<div class="code"') < content.index(name)
    for gone in ("x_remove", "x_cell", "x_parameters", "gone"):
        assert gone not in content
    assert "kept output" in content
    assert "show-code" not in page(code("x_remove = 1", "remove-input")).split("</style>")[1]


def test_a_failed_report_says_what_failed_and_marks_the_cell() -> None:
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'<b>'", "traceback": ["\x1b[31mline\x1b[0m"]}
    ran = code("ws.monitor()", outputs=[error])
    later = code("later()")
    later["metadata"]["papermill"] = {"status": "pending"}
    failure = {"reason": "error", "cell": 1, "error": "KeyError", "message": "'<b>'"}
    content = page(text("# A"), ran, later, failure=failure)
    assert 'class="is-failed"' in content
    assert "<h1>Cell 2 raised KeyError: &#39;&lt;b&gt;&#39;</h1>" in content
    assert 'class="cell failed" id="cell-2"' in content
    assert 'href="#cell-2"' in content
    assert "Not run (cell 3)" in content
    assert "\x1b" not in content
    assert "none: the report failed" not in content or "ef" * 32 not in content


def test_a_failed_report_gives_the_line_that_runs_it_again() -> None:
    failure = {"reason": "timeout", "cell": 0, "error": "", "message": "it reached the limit of 900 s"}
    bound = {**BOUND, "parameters": {"alibi": False, "column": "a b"}, "kernel": "mlprod-alibi"}
    report = {**REPORT, "bound_to": bound}
    said = html_entities.unescape(render.to_html(notebook(code("1"), mlprod={"report": report, "failure": failure})))
    words = shlex.split(re.findall(r"<code>(mlprod report .*?)</code>", said)[0])
    assert words[:6] == ["mlprod", "report", "flights", "drift", "--since", "2013-04-01T00:00:00Z"]
    assert words[6:] == ["--parameters", "alibi=false 'column=a b'", "--kernel", "mlprod-alibi"]


def test_an_error_that_says_what_to_do_is_not_sent_to_jupyterlab() -> None:
    failure = {"reason": "error", "cell": 0, "error": "Corrupt", "message": "a file is damaged. Run mlprod verify."}
    content = page(code("1"), failure=failure)
    assert "Do what the line above advises" in content
    assert "JupyterLab" not in content
    assert "JupyterLab" in page(code("1"), failure={**failure, "error": "KeyError"})


@pytest.mark.parametrize(
    ("seed", "said"), [(7, "7, the notebook&#39;s parameter"), (None, "fixed in this version of mlprod_nb; the")]
)
def test_the_page_tells_the_seed_also_where_it_is_no_parameter(seed: int | None, said: str) -> None:
    content = render.to_html(notebook(shown(), mlprod={"report": {**REPORT, "seed": seed}}))
    assert f"<dt>Seed</dt><dd>{said}" in content


@pytest.mark.parametrize(
    "source", ["x = 1  # a word", "def f(a: int) -> str:\n    return f'{a:>3}'\n\n@g\nclass A: ..."]
)
def test_python_alone_looks_the_same_as_a_cell_of_ipython(source: str) -> None:
    lexer, formatter = markup._highlighting(beyond_python=True)
    assert markup.highlighted(source) == pygments.highlight(source, lexer, formatter)


def test_a_notebook_without_a_verdict_is_shown_as_failed() -> None:
    assert "The report came to no verdict" in page(text("# A"))
    assert "it shows 2 verdicts (cells 1, 2)" in page(shown(), shown())


def test_the_page_stays_small_whatever_is_shown_and_says_what_is_left_out() -> None:
    row = "<tr><td>1234567890</td></tr>"
    outputs = [
        html(f"<table>{row * 5_000}</table>"),
        html(f"<table>{row * 100_000}</table>"),
        {"output_type": "stream", "name": "stdout", "text": "x" * 5_000_000},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 300_000}},
    ]
    small = [html(f"<table>{row * 1_000}</table>") for _ in range(40)]
    content = page(code("a", outputs=outputs), code("b", outputs=small), shown())
    assert len(content.encode()) <= 200_000
    assert "is left out here; it is in report.ipynb" in content
    assert "shortened; the whole is in report.ipynb" in content


def test_the_verdict_is_shown_once() -> None:
    assert page(shown("ok", "nothing moved at all.")).count("othing moved at all.") == 1


def test_jupyterlab_and_nbconvert_can_export_the_same_page(tmp_path: Path) -> None:
    import nbformat

    made = notebook(text("# Drift"), shown(), mlprod={"report": REPORT})
    text_of, resources = ReportExporter().from_notebook_node(nbformat.from_dict(made))
    assert text_of == render.to_html(made)
    assert resources["output_extension"] == ".html"


def test_a_page_does_not_depend_on_the_order_in_which_a_notebook_keeps_what_it_is_about() -> None:
    bound = BOUND | {"settings": {"yearly_alpha": 0.05, "alert_on": "alarm"}, "parameters": {"b": 1, "a": 2}}
    made = notebook(shown("ok"), mlprod={"report": REPORT | {"bound_to": bound}})
    assert render.to_html(json.loads(json.dumps(made, sort_keys=True))) == render.to_html(made)


def test_the_exporter_is_known_to_nbconvert_s_command_line(tmp_path: Path) -> None:
    given = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    name = given["project"]["entry-points"]["nbconvert.exporters"]["mlprod_report"].replace(":", ".")
    made = notebook(text("# Drift"), shown("warn", "a little moved."), mlprod={"report": REPORT})
    (tmp_path / "a.ipynb").write_text(json.dumps(made))
    command = [sys.executable, "-m", "nbconvert", "--to", name, str(tmp_path / "a.ipynb")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render.to_html(made)


def test_a_plain_notebook_can_be_rendered_too() -> None:
    made = notebook(text("# My analysis\n\nA [link](https://example.org)."), shown("ok"))
    content = render.to_html(made)
    assert "<title>OK: My analysis</title>" in content
    assert VERDICT_MIME not in content


def test_a_report_without_a_heading_is_named_after_its_kind() -> None:
    about = {"report": REPORT | {"kind": "nightly"}}
    content = render.to_html(notebook(shown("ok"), mlprod=about))
    assert "<title>OK: Nightly report of flights</title>" in content


def test_preparing_leaves_nothing_to_be_imported_for_a_page(tmp_path: Path) -> None:
    page = notebook(
        text("# Drift\n\n- one\n\n`two`"),
        code("1 + 1", outputs=[html('<table style="color:red"><tr><td>2</td></tr></table>')]),
    )
    script = f"""
import json, sys
from mlprod_nb.reports import render
render.prepare()
before = set(sys.modules)
render.to_html(json.loads({json.dumps(json.dumps(page))}))
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n", done.stderr
