"""A result's sections as HTML: self-contained, in the colours of JupyterLab's theme, everything escaped."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.results.values import format_value, link

if TYPE_CHECKING:
    from mlprod_nb.results import Section

#: Up to so many characters a cell's text is not broken into lines.
_UNBROKEN = 16
#: From so many characters on a cell's text has room for a few words a line.
_LONG = 40
#: What a browser would break at its hyphens: dates with their time of day, and options.
_TOGETHER = re.compile(r"(?<![\w-])(?:\d{4}-\d\d-\d\d(?:T[\d:.]*\dZ?)?|--[a-z][a-z-]*)(?![\w-])")

#: A share, or a number that shows its sign.
_NUMBER = re.compile(r"[+\-\u2212]?[\d.,]+ %|[+\-\u2212][\d.,]+(?:e[+-]?\d+)?")
#: From one number to another, and what the interval holds.
_INTERVAL = re.compile(r"(?:[+\-\u2212]?[\d.,]+(?:e[+-]?\d+)?(?: %)?(?: (?:to|…|→) |$| (?=\())){2}(?:\([\d.]+ %\))?")

# The doubled class outweighs JupyterLab's own rules for tables in outputs. Where a front end has none of JupyterLab's
# variables (VS Code, Colab, a bare page) the colours are made from the text's around it, which may be light or dark.
CSS = """
.mlprod-result{--ink:var(--jp-ui-font-color1,currentcolor);
--soft:var(--jp-ui-font-color2,color-mix(in srgb,currentcolor 72%,transparent));
--line:var(--jp-border-color2,color-mix(in srgb,currentcolor 25%,transparent));
--ok:var(--jp-success-color1,#1a7f37);--warn:var(--jp-warn-color1,#9a6700);--alarm:var(--jp-error-color1,#cf222e);
color:var(--ink);font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);max-width:60rem;overflow-x:auto}
.mlprod-result .mlprod-head{font-size:14px;font-weight:600;margin:0 0 .6em}
.mlprod-result.mlprod-ok>.mlprod-head,.mlprod-result.mlprod-warn>.mlprod-head,.mlprod-result.mlprod-alarm>.mlprod-head
{border-left:4px solid var(--ok);padding:.1em 0 .1em .6em}
.mlprod-result.mlprod-warn>.mlprod-head{border-color:var(--warn)}
.mlprod-result.mlprod-alarm>.mlprod-head{border-color:var(--alarm)}
.mlprod-result table{border-collapse:collapse;margin:0 0 .9em;
font-size:inherit;font-variant-numeric:tabular-nums;width:auto}
.mlprod-result caption{max-width:calc(100vw - 8rem);
text-align:left;color:var(--soft);font-weight:600;padding:.2em 0;caption-side:top}
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


def unbroken(text: str) -> str:
    """Return text in which a number and its percent sign stay on one line."""
    return re.sub(r"(?<=\d) %(?!\w)", "\N{NO-BREAK SPACE}%", text)


def escaped(text: str) -> str:
    """Return text for a page; a number and its percent sign, a date and an option stay on one line."""
    safe = html.escape(unbroken(text))
    return _TOGETHER.sub(r'<span class="s">\g<0></span>', safe)


def _cell_class(value: Any) -> str:
    """Return a cell's class: numbers stand at the right, a few letters stay together, a sentence has room."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "n"
    if not isinstance(value, str):
        return ""
    if _NUMBER.fullmatch(value):
        return "n"
    if len(value) <= _UNBROKEN or _INTERVAL.fullmatch(value):
        return "s"
    return "w" if len(value) >= _LONG else ""


def _numeric_columns(section: Section) -> frozenset[int]:
    """Return the columns of numbers: their heads, and the dashes of what is not known, stand where the numbers do."""
    kinds = [{_cell_class(row[i]) for row in section.rows if row[i] is not None} for i in range(len(section.columns))]
    return frozenset(index for index, found in enumerate(kinds) if found == {"n"})


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def table(section: Section) -> str:
    """Return a section as a table; a detail as one that is folded."""
    numeric = _numeric_columns(section)
    head = "".join(
        f'<th scope="col"{_class("n" if index in numeric else "")}>{html.escape(column.replace("_", " "))}</th>'
        for index, column in enumerate(section.columns)
    )
    rows = "".join(f"<tr>{_cells(row, numeric) if section.columns else _fact(row)}</tr>" for row in section.rows)
    body = f"{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{rows}</tbody>"
    title = html.escape(section.title)
    if section.detail:
        return f"<details><summary>{title}</summary><table>{body}</table></details>"
    caption = f"<caption{_class(_cell_class(section.title))}>{title}</caption>" if title else ""
    return f"<table>{caption}{body}</table>"


def _cells(row: tuple[Any, ...], numeric: frozenset[int]) -> str:
    kinds = ("n" if value is None and index in numeric else _cell_class(value) for index, value in enumerate(row))
    return "".join(
        f"<td{_class(kind)}>{escaped(format_value(value))}</td>" for kind, value in zip(kinds, row, strict=True)
    )


def _fact(row: tuple[Any, ...]) -> str:
    name, *values = row
    shown = "".join(f"<td>{_linked(value)}</td>" for value in values)
    return f'<th scope="row"{_class(_cell_class(name))}>{escaped(format_value(name))}</th>{shown}'


def _linked(value: Any) -> str:
    """Return a value for a page; a file as a link to it."""
    shown = escaped(format_value(value))
    target = link(value) if isinstance(value, Path) else ""
    return f'<a href="{html.escape(target)}">{shown}</a>' if target else shown
