"""A result's sections as HTML: self-contained, in the colours of JupyterLab's theme, everything escaped."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from mlprod_nb.results.values import format_value

if TYPE_CHECKING:
    from mlprod_nb.results import Section

#: Up to so many characters a cell's text is not broken into lines.
_UNBROKEN = 16
#: From so many characters on a cell's text has room for a few words a line.
_LONG = 40
#: What a browser would break at its hyphens: dates with their time of day, and options.
_TOGETHER = re.compile(r"(?<![\w-])(?:\d{4}-\d\d-\d\d(?:T[\d:.]*\dZ?)?|--[a-z][a-z-]*)(?![\w-])")

# The doubled class outweighs JupyterLab's own rules for tables in outputs.
CSS = """
.mlprod-result{--ink:var(--jp-ui-font-color1,#1f2328);--soft:var(--jp-ui-font-color2,#59636e);--line:var(--jp-border-color2,#d1d9e0);
--ok:var(--jp-success-color1,#1a7f37);--warn:var(--jp-warn-color1,#9a6700);--alarm:var(--jp-error-color1,#cf222e);
color:var(--ink);font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);max-width:60rem;overflow-x:auto}
.mlprod-result .mlprod-head{font-size:14px;font-weight:600;margin:0 0 .6em}
.mlprod-result.mlprod-ok>.mlprod-head,.mlprod-result.mlprod-warn>.mlprod-head,.mlprod-result.mlprod-alarm>.mlprod-head
{border-left:4px solid var(--ok);padding:.1em 0 .1em .6em}
.mlprod-result.mlprod-warn>.mlprod-head{border-color:var(--warn)}
.mlprod-result.mlprod-alarm>.mlprod-head{border-color:var(--alarm)}
.mlprod-result table{border-collapse:collapse;margin:0 0 .9em;
font-size:inherit;font-variant-numeric:tabular-nums;width:auto}
.mlprod-result caption{text-align:left;color:var(--soft);font-weight:600;padding:.2em 0;caption-side:top}
.mlprod-result.mlprod-result tbody tr{background:none}
.mlprod-result.mlprod-result th,.mlprod-result.mlprod-result td{text-align:left;padding:.25em .9em .25em 0;border:0;
border-bottom:1px solid var(--line);
background:none;
color:inherit;vertical-align:top;white-space:normal}
.mlprod-result.mlprod-result th{color:var(--soft);font-weight:500}
.mlprod-result.mlprod-result td.n,.mlprod-result.mlprod-result th.n{text-align:right}
.mlprod-result.mlprod-result :is(td,th,caption,span).s{white-space:nowrap}
.mlprod-result.mlprod-result td.w{min-width:15em}
.mlprod-result summary{color:var(--soft);font-weight:600;padding:.2em 0;cursor:pointer}
.mlprod-result .mlprod-next{margin:.2em 0;color:var(--soft)}
.mlprod-result code{color:var(--ink);background:none}
""".replace("\n", "")


def escaped(text: str) -> str:
    """Return text for a page; a number and its percent sign, a date and an option stay on one line."""
    safe = html.escape(re.sub(r"(?<=\d) %(?!\w)", "\N{NO-BREAK SPACE}%", text))
    return _TOGETHER.sub(r'<span class="s">\g<0></span>', safe)


def _cell_class(value: Any) -> str:
    """Return a cell's class: numbers stand at the right, a few letters stay together, a sentence has room."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ' class="n"'
    if not isinstance(value, str) or _UNBROKEN < len(value) < _LONG:
        return ""
    return ' class="s"' if len(value) <= _UNBROKEN else ' class="w"'


def _head_class(section: Section, index: int) -> str:
    """Return the class of a column's head, which stands where the column's numbers do."""
    kinds = {_cell_class(row[index]) for row in section.rows if row[index] is not None}
    return ' class="n"' if kinds == {' class="n"'} else ""


def table(section: Section) -> str:
    """Return a section as a table; a detail as one that is folded."""
    caption = f"<caption{_cell_class(section.title)}>{html.escape(section.title)}</caption>" if section.title else ""
    head = "".join(
        f'<th scope="col"{_head_class(section, index)}>{html.escape(column.replace("_", " "))}</th>'
        for index, column in enumerate(section.columns)
    )
    rows = []
    for row in section.rows:
        cells = []
        for index, value in enumerate(row):
            text = escaped(format_value(value))
            kind = _cell_class(value) if section.columns else ""
            cells.append(
                f'<th scope="row"{_cell_class(value)}>{text}</th>'
                if not section.columns and index == 0
                else f"<td{kind}>{text}</td>"
            )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = f"{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{''.join(rows)}</tbody>"
    if section.detail:
        return f"<details><summary>{html.escape(section.title)}</summary><table>{body}</table></details>"
    return f"<table>{caption}{body}</table>"
