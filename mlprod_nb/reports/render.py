"""Render an executed report notebook as one self-contained HTML page, through our own template.

The page makes no request and runs no script but its own, by which tables are sorted. It is the same whether it is
rendered by :func:`to_html`, by nbconvert or by JupyterLab's *Save and Export Notebook As*: all it needs is in the
notebook.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.reports import failures, since, verdicts
from mlprod_nb.reports.blocks import Block, Builder, Heading
from mlprod_nb.reports.since import Line
from mlprod_nb.results import Verdict, format_value
from mlprod_nb.results.page import unbroken

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = Path(__file__).resolve().parent / "template"
_TITLES = {"drift": "Drift report", "abtest": "A/B test report"}


@dataclass(frozen=True)
class Page:
    """What the template lays out."""

    title: str
    endpoint: str
    verdict: Verdict | None
    failure: dict[str, Any] | None
    next_step: str
    again: str
    blocks: tuple[Block, ...]
    contents: tuple[Heading, ...]
    facts: tuple[tuple[str, str], ...]
    bound: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    step: str
    before: str
    quiet: str
    compare: str
    changes: tuple[Line, ...]

    @property
    def headline(self) -> str:
        """What the verdict says first, or what failed, as a heading."""
        if self.failure:
            return _capitalised(str(self.failure["sentence"]))
        return _capitalised(self.verdict.sentence.partition("; ")[0]) if self.verdict else self.title

    @property
    def reasons(self) -> tuple[str, ...]:
        """What else the verdict says: its clauses after the first."""
        if self.failure or not self.verdict:
            return ()
        clauses = self.verdict.sentence.removesuffix(".").split("; ")[1:]
        return tuple(_capitalised(clause) for clause in clauses)

    @property
    def has_folded_code(self) -> bool:
        """Whether there is code that the page's one toggle shows; that of a failed cell is always seen."""
        return any(block.code and block.state != "failed" for block in self.blocks)

    @property
    def status(self) -> str:
        """``ok``, ``warn``, ``alarm``, ``failed``, or ``none`` for a notebook that is no report."""
        if self.failure is not None:
            return "failed"
        return self.verdict.status if self.verdict else "none"


def _capitalised(text: str) -> str:
    """Begin with a capital, unless the first word is a name as ``x_2``, which must be left as it is."""
    first = text.split(" ")[0]
    return text[:1].upper() + text[1:] if first.rstrip(":,").isalpha() else text


def to_html(notebook: Notebook, *, title: str = "") -> str:
    """Return a report's page.

    Args:
        notebook: The executed notebook; its metadata say what it is bound to and whether it failed.
        title: The page's title; by default the notebook's first heading.
    """
    script = (_TEMPLATE / "sort.js").read_text(encoding="utf-8")
    return _template().render(
        page=_page(notebook, title),
        style=(_TEMPLATE / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def prepare() -> None:
    """Import what pages are made by, and compile the template, while there is nothing yet to render."""
    shown = {"output_type": "display_data", "metadata": {}, "data": {"text/html": "<p>1</p>"}}
    code = {"cell_type": "code", "metadata": {}, "source": "1", "execution_count": 1, "outputs": [shown]}
    to_html({"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# 1"}, code], "metadata": {}})


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader

    # Nothing is escaped by itself: the template escapes every value that was not made safe here.
    environment = Environment(loader=FileSystemLoader(_TEMPLATE), autoescape=False)  # noqa: S701
    environment.filters["unbroken"] = unbroken
    return environment.get_template("index.html.j2")


def _page(notebook: Notebook, title: str) -> Page:
    about = notebook["metadata"].get("mlprod", {})
    report, failure = about.get("report", {}), about.get("failure")
    verdict = None
    if failure is None:
        try:
            verdict = verdicts.read(notebook)
        except verdicts.VerdictProblem as problem:
            # Only a report owes a verdict; two of them are too many anywhere.
            if report or problem.cell_index is not None:
                failure = {"reason": "verdict", "cell": problem.cell_index, "error": "", "message": str(problem)}
    builder = Builder(failure)
    for index, cell in enumerate(notebook["cells"]):
        builder.add(index, cell)
    bound, kind = report.get("bound_to", {}), report.get("kind", "")
    return Page(
        title=title or _TITLES.get(kind, "") or builder.title or _capitalised(f"{kind} report".strip()),
        endpoint=report.get("endpoint", ""),
        verdict=verdict,
        failure=failures.described(failure) if failure else None,
        next_step=failures.next_step(failure) if report else "",
        again=failures.again(report) if failure else "",
        blocks=tuple(builder.blocks),
        contents=tuple(builder.contents),
        facts=_facts(report),
        bound=_bound(report),
        packages=tuple((name, str(version)) for name, version in _sorted(bound.get("packages", {})).items()),
        step=about.get("step", "Run next"),
        before=_before(report, verdict) or about.get("before", ""),
        quiet=_quiet(report, failure),
        compare=_comparison(report),
        changes=since.lines(report.get("since", {}).get("changes", ()), verdict.sentence if verdict else ""),
    )


def _before(report: dict[str, Any], verdict: Verdict | None) -> str:
    """Say what the report before said; nothing where a page is not of a report that was run."""
    if "since" not in report:
        return ""
    before = report["since"]["before"]
    name = _TITLES.get(report["kind"], f"{report['kind']} report")
    name = name[0].lower() + name[1:] if name[1].islower() else name
    if before is None:
        return f"This is the first {name} of {report['endpoint']}."
    report_before = f"The {name} before, of {since.moment(before['created_at'])}"
    if verdict and (verdict.status, verdict.sentence) == (before["status"], before["sentence"]):
        return f"{report_before}, said the same."
    return f"{report_before}: {before['status']}, {str(before['sentence']).rstrip('.')}."


def _quiet(report: dict[str, Any], failure: dict[str, Any] | None) -> str:
    """Say what it means that no change is told."""
    if "since" not in report:
        return ""
    return (
        "This report could not look: what was open stays open." if failure else "Nothing is open, and nothing is new."
    )


def _comparison(report: dict[str, Any]) -> str:
    """Return the line that says what changed since the report before, or nothing."""
    before = report.get("since", {}).get("before")
    same = before is None or before["digest"] == report["digest"]
    return "" if same or not report["digest"] else f"mlprod diff {before['digest'][:12]} {report['digest'][:12]}"


def _facts(report: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if not report:
        return ()
    bound = report["bound_to"]
    where = bound.get("log_range", {})
    since, until = where.get("since"), where.get("until")
    window = f"{_day(since, 'the first row')} to {_day(until, 'the last row')}" if since or until else "all of the log"
    rows = where.get("rows")
    facts = (
        ("Window", window),
        ("Rows", f"{rows:,}" if isinstance(rows, int) else ""),
        ("Model", ", ".join(bound.get("model_versions", ()))),
        ("Made", report["created_at"].replace("T", " ").replace("Z", " UTC")),
    )
    return tuple((name, text) for name, text in facts if text)


def _day(moment: Any, otherwise: str) -> str:
    text = str(moment) if moment else otherwise
    return re.sub(r"T00:00(:00(\.0+)?)?(Z|\+00:00)?$", "", text).replace("T", " ")


def _bound(report: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if not report:
        return ()
    bound = report["bound_to"]
    settings = _sorted(bound.get("settings", {}))
    facts = (
        ("Report digest", report["digest"] or "none: the report failed"),
        ("Model versions", ", ".join(bound.get("model_versions", ()))),
        ("Log range digest", str(bound.get("log_range", {}).get("digest", ""))),
        ("Parameters", format_value(_sorted(bound.get("parameters", {}))) or "defaults"),
        ("Settings", format_value({name: one for name, one in settings.items() if one not in ("", [])})),
        ("Seed", _seed(report)),
        ("Notebook SHA-256", bound.get("notebook_sha256", "")),
        ("Duration", f"{report['seconds']:.1f} s"),
    )
    return tuple((name, text) for name, text in facts if text)


def _sorted(named: dict[str, Any]) -> dict[str, Any]:
    """Put names in the order in which a saved notebook has them, so that a page made of it is the same."""
    return dict(sorted(named.items()))


def _seed(report: dict[str, Any]) -> str:
    if "seed" not in report:
        return ""
    given = report["seed"]
    none = "fixed in this version of mlprod_nb; the notebook has no parameter seed"
    return f"{given}, the notebook's parameter" if given is not None else none
