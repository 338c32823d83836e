"""Results that render themselves: every verb returns a frozen dataclass with the :class:`Result` mixin.

A result is data first: its fields, in order, are what ``to_dict``, ``to_frame`` and the pages show. Text, markdown and
HTML are made from the same :func:`sections`, so they cannot disagree. The HTML is self-contained, follows JupyterLab's
light and dark themes through CSS variables with literal fallbacks, and escapes everything.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlprod_nb.clock import iso
from mlprod_nb.results import page, text
from mlprod_nb.results.page import CSS, escaped
from mlprod_nb.results.values import counted, duration, format_interval, format_pair, format_value, percent, shown_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CSS",
    "VERDICT_MIME",
    "AlertChange",
    "Cause",
    "Result",
    "Section",
    "Status",
    "Verdict",
    "counted",
    "duration",
    "format_interval",
    "format_pair",
    "format_value",
    "percent",
    "shown_path",
]

Status = Literal["ok", "warn", "alarm"]
VERDICT_MIME = "application/vnd.mlprod.verdict+json"
_SYMBOLS: dict[str, str] = {"ok": "✓", "warn": "!", "alarm": "✗"}
_WORDS: dict[str, str] = {"ok": "OK", "warn": "WARNING", "alarm": "ALARM"}


@dataclass(frozen=True)
class Cause:
    """One thing that was judged on the way to a verdict.

    Attributes:
        name: What it is, as ``performance`` or ``quality: hour``; the words before the colon are its family.
        grade: ``"ok"``: its whole family was judged and nothing is wrong; otherwise how grave it is.
    """

    name: str
    grade: Status

    @property
    def family(self) -> str:
        """What kind of thing it is."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class Verdict:
    """What a check, a monitor, a test or a report concludes.

    Attributes:
        status: ``"ok"``, ``"warn"`` or ``"alarm"``; only ``"alarm"`` means no.
        sentence: The conclusion in one sentence.
        action: The exact line to run next, or empty.
        causes: What it rests on, for alerts to tell one trouble from another; a family that could not be judged is
            not among them.
    """

    status: Status
    sentence: str
    action: str = ""
    causes: tuple[Cause, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 1 where the verdict is no."""
        return 1 if self.status == "alarm" else 0

    def __str__(self) -> str:
        return f"{_SYMBOLS[self.status]} {_WORDS[self.status]}: {self.sentence}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002 (IPython's signature)
        """Show the verdict, and mark the cell as a notebook's verdict: a report must end in exactly one."""
        action = f'<p class="mlprod-next">Next: <code>{html.escape(self.action)}</code></p>' if self.action else ""
        shown = (
            f'<div class="mlprod-result mlprod-{self.status}"><style>{CSS}</style>'
            f'<p class="mlprod-head">{escaped(str(self))}</p>{action}</div>'
        )
        facts = {name: value for name, value in _plain(self).items() if name != "causes" or value}
        return {VERDICT_MIME: facts, "text/html": shown, "text/plain": str(self)}


@dataclass(frozen=True)
class AlertChange:
    """What a look means for one cause of an alert.

    Attributes:
        change: new, recovered, still open, acknowledged or snoozed.
        cause: What is wrong, or was.
        sentence: What was said when it was found.
        since: When that was; ``None`` for what is new.
        note: Who acknowledged or snoozed it, until when and why.
    """

    change: str
    cause: str
    sentence: str
    since: datetime | None
    note: str


@dataclass(frozen=True)
class Section:
    """One part of a rendered result: facts (two columns, no head) or a table.

    Attributes:
        title: What it is called; empty for the facts at a result's beginning.
        columns: The table's head; empty for facts.
        rows: Its rows.
        detail: Whether it is for those who look closer: folded in a page, named and left out in a terminal.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    detail: bool = False

    def without_empty_columns(self) -> Section:
        """Leave out the columns in which no row says anything; what is not known, a dash, says something."""
        said = [any(row[i] not in ("", (), []) for row in self.rows) for i in range(len(self.columns))]
        if all(said) or not self.rows:
            return self
        rows = tuple(tuple(compress(row, said)) for row in self.rows)
        return replace(self, columns=tuple(compress(self.columns, said)), rows=rows)


class Result:
    """Mixin for a frozen dataclass that a verb returns.

    Subclasses may override :meth:`headline`, :meth:`sections` and ``_frame_field`` (the name of the field that
    ``to_frame`` gives as rows). A field named ``verdict`` that holds a
    :class:`Verdict` opens every rendering and gives the exit code.
    """

    _frame_field: ClassVar[str] = ""
    #: Fields that are data but too bulky to show.
    _hidden: ClassVar[tuple[str, ...]] = ()

    @property
    def exit_code(self) -> int:
        """0 done, 1 the verdict is no."""
        verdict = getattr(self, "verdict", None)
        return verdict.exit_code if isinstance(verdict, Verdict) else 0

    def headline(self) -> str:
        """Return the result in one sentence."""
        verdict = getattr(self, "verdict", None)
        return str(verdict) if isinstance(verdict, Verdict) else type(self).__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold."""
        plain = _plain(self)
        assert isinstance(plain, dict)
        return plain

    def to_json(self) -> str:
        """Return the fields as JSON text with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False, ensure_ascii=False)

    def to_frame(self) -> pd.DataFrame:
        """Return the result's rows as a data frame: one row an item, or one row in all."""
        import pandas as pd

        plain = self.to_dict()
        name = self._frame_field or next((f for f, value in plain.items() if _is_rows(value)), "")
        return pd.DataFrame(plain[name] if name else [plain])

    def sections(self) -> Sequence[Section]:
        """Return what is shown below the headline."""
        facts: list[tuple[Any, ...]] = []
        tables: list[Section] = []
        for name, value in _fields(self).items():
            if name in self._hidden or isinstance(value, Verdict) or value in (None, "", (), {}):
                continue
            title = name.replace("_", " ")
            rows = _plain(value)
            if _is_rows(rows):
                columns = tuple(rows[0])
                tables.append(Section(title, columns, tuple(tuple(row.get(c) for c in columns) for row in rows)))
            elif isinstance(rows, dict):
                # A dataclass's fields are words of ours; a dictionary's keys may be the user's.
                named = is_dataclass(value)
                known = {
                    key.replace("_", " ") if named else key: item
                    for key, item in rows.items()
                    if item not in (None, "")
                }
                tables.append(Section(title, (), tuple((key, _shown(key, item)) for key, item in known.items())))
            else:
                facts.append((title, value if isinstance(value, Path) else _shown(name, rows)))
        return [Section("", (), tuple(facts)), *tables] if facts else tables

    def _shown_sections(self) -> list[Section]:
        return [section.without_empty_columns() for section in self.sections()]

    def __str__(self) -> str:
        return self.fitted()

    def fitted(self, width: int | None = None) -> str:
        """Return the result as text.

        Args:
            width: Characters of a terminal's line, which no table exceeds; ``None``: as many as it takes.
        """
        sections = self._shown_sections()
        shown = [text.section(section, width) for section in sections if not section.detail]
        folded = ", ".join(section.title.split(" (")[0] for section in sections if section.detail)
        more = f"More in a notebook and in the report: {folded}." if folded else ""
        said = [text.paragraph(self.headline(), width), *shown, text.paragraph(more, width), *_next_line(self)]
        return "\n\n".join(part for part in said if part)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002 (IPython's signature)
        """Show the text rather than the dataclass's fields as ``text/plain``; IPython adds HTML and markdown."""
        return {"text/plain": str(self)}

    def _repr_markdown_(self) -> str:
        parts = [
            f"**{_escape_markdown(self.headline())}**",
            *(_markdown(s) for s in self._shown_sections()),
            *_next_line(self, "`"),
        ]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        verdict = getattr(self, "verdict", None)
        kind = f" mlprod-{verdict.status}" if isinstance(verdict, Verdict) else ""
        body = "".join(page.table(section) for section in self._shown_sections())
        action = verdict.action if isinstance(verdict, Verdict) else ""
        if action:
            body += f'<p class="mlprod-next">Next: <code>{html.escape(action)}</code></p>'
        head = f'<p class="mlprod-head">{escaped(self.headline())}</p>'
        return f'<div class="mlprod-result{kind}"><style>{CSS}</style>{head}{body}</div>'


def _fields(result: Any) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in fields(result)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in _fields(value).items()}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _shown(name: str, value: Any) -> Any:
    """Keep a process id from being grouped into thousands."""
    return str(value) if name.endswith("pid") else value


def _next_line(result: Result, quote: str = "") -> list[str]:
    verdict = getattr(result, "verdict", None)
    return [f"Next: {quote}{verdict.action}{quote}"] if isinstance(verdict, Verdict) and verdict.action else []


def _escape_markdown(text: str) -> str:
    for character in "\\`*_{}[]<>|#":
        text = text.replace(character, "\\" + character)
    return text


def _markdown(section: Section) -> str:
    columns = section.columns or ("", "")
    rows = [[_escape_markdown(format_value(value)).replace("\n", " ") for value in row] for row in section.rows]
    head = [_escape_markdown(column.replace("_", " ")) for column in columns]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(columns), *rows]]
    return "\n".join(([f"### {_escape_markdown(section.title)}", ""] if section.title else []) + lines)
