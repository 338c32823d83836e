"""Metrics and segments that a design brings as text: an expression over the columns of one row, and nothing more.

The text is read word by word against a list of what may occur (columns, numbers, quoted texts, operators, a few
functions), and what runs is put together from these words. So there is no statement, no comment, no file, no other
table and no setting that it could reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlprod_nb.abtest.estimators import Ratio
from mlprod_nb.abtest.metrics import BUILT_IN, Expression
from mlprod_nb.abtest.outcome import Better, Metric
from mlprod_nb.errors import NotFound, UsageError

COLUMNS: Mapping[str, str] = {
    "prediction": "VARCHAR",
    "score": "DOUBLE",
    "label_class": "VARCHAR",
    "label_number": "DOUBLE",
    "latency_ms": "DOUBLE",
    "failed": "BOOLEAN",
}
_FUNCTIONS = frozenset(
    {"abs", "ceil", "coalesce", "exp", "floor", "greatest", "isfinite", "least", "ln", "log10", "nullif", "pow"}
    | {"round", "sign", "sqrt"}
)
_KEYWORDS = frozenset(
    {"and", "between", "case", "else", "end", "in", "is", "not", "null", "or", "then", "when", "true", "false"}
)
_WORD = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>'(?:[^']|'')*')"
    r"|(?P<sign><=|>=|<>|!=|[-+*/%()<>=,]))"
)
_LONGEST = 2_000


@dataclass(frozen=True)
class CustomMetric:
    """A metric that a design brings.

    Attributes:
        name: How the design calls it.
        value: The expression of one prediction's value; null where the prediction does not count.
        denominator: Another expression, where the metric is a sum over a sum; empty: a mean over predictions.
        better: Which way is better.
        needs_labels: Whether it waits for feedback.
        tolerance: As a guardrail: by how much it may get worse.
    """

    name: str
    value: str
    denominator: str = ""
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no expression over the columns of a row."""
        if self.name in BUILT_IN:
            raise UsageError(f"metric {self.name!r} is built in.", hint="Call yours something else.")
        if self.better not in ("higher", "lower", "same"):
            raise UsageError(f"metric {self.name!r}: better is {self.better!r}; it is higher, lower or same.")
        for text in (self.value, self.denominator or "1"):
            checked(f"metric {self.name!r}", text)

    def metric(self) -> Metric:
        """Return what the scan reads."""
        value = _tried(self.name, self.value)
        if not self.denominator:
            return Expression(self.name, value, self.better, self.needs_labels, self.tolerance)
        below = _tried(self.name, self.denominator)
        return Ratio(self.name, value, below, self.better, self.needs_labels, self.tolerance)


def read(data: Any) -> tuple[CustomMetric, ...]:
    """Read the ``metrics`` of a design: a mapping from a name to an expression, or to the fields of a custom metric.

    Raises:
        UsageError: Something in it is wrong; the message names it and the nearest right one.
    """
    if not isinstance(data, dict):
        raise UsageError(
            "metrics is a mapping from a name to an expression.", hint="As in: metrics: {sure: score > 0.9}"
        )
    known = [field.name for field in fields(CustomMetric) if field.name != "name"]
    found = []
    for name, given in data.items():
        entry = given if isinstance(given, dict) else {"value": given}
        for key in entry:
            if key not in known:
                raise NotFound(f"key of metric {name!r}", str(key), known)
        if "value" not in entry:
            raise UsageError(f"metric {name!r} has no value.", hint=f"As in: {name}: {{value: score, better: higher}}")
        texts = {key: str(entry[key]) for key in ("value", "denominator", "better") if key in entry}
        tolerance = entry.get("tolerance", 0.0)
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
            raise UsageError(f"metric {name!r}: tolerance is {tolerance!r}; it is a number.")
        needs_labels = entry.get("needs_labels", True)
        if not isinstance(needs_labels, bool):
            raise UsageError(f"metric {name!r}: needs_labels is {needs_labels!r}; it is true or false.")
        found.append(CustomMetric(str(name), **texts, needs_labels=needs_labels, tolerance=float(tolerance)))  # type: ignore[arg-type]
    return tuple(found)


def _tried(name: str, text: str) -> str:
    """Return a checked expression; where a row makes it fail (a text that is no number), the row does not count."""
    sql = checked(f"metric {name!r}", text)
    return f"TRY(({sql})::DOUBLE)"


@dataclass(frozen=True)
class Columns:
    """What an expression may name.

    Attributes:
        kinds: The columns, with the type of each in SQL.
        prefix: What their names begin with where it runs.
        cast: What its value must be, as the end of a SQL cast; empty: anything.
    """

    kinds: Mapping[str, str]
    prefix: str = ""
    cast: str = ""

    def sql(self, name: str) -> str:
        """Return a column's name where it runs."""
        return '"' + f"{self.prefix}{name}".replace('"', '""') + '"' if self.prefix else name


_OF_A_ROW = Columns(COLUMNS, cast="::DOUBLE")


def checked(about: str, text: str, columns: Columns = _OF_A_ROW) -> str:
    """Return an expression put together from its words.

    Args:
        about: What it is of, for messages.
        text: The expression.
        columns: What it may name.

    Raises:
        UsageError: It is no expression over the columns of a row; the message names the word.
    """
    words, at, depth = [], 0, 0
    text = text.strip()
    if not text:
        raise UsageError(f"{about} has no expression.", hint="As in: score > 0.9")
    if len(text) > _LONGEST:
        raise UsageError(f"{about}: an expression has at most {_LONGEST:,} characters.")
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise UsageError(
                f"{about}: {text[at : at + 10].strip()!r} cannot be in an expression.",
                hint="It is made of columns, numbers, 'texts', operators and functions.",
            )
        depth += {"(": 1, ")": -1}.get(match["sign"] or "", 0)
        if depth < 0:
            raise UsageError(f"{about}: a bracket closes that none opened.")
        words.append(_word(about, columns, match, is_called=text[match.end() :].lstrip().startswith("(")))
        at = match.end()
    sql = " ".join(words)
    _parses(about, sql, columns)
    return sql


def _word(about: str, columns: Columns, match: re.Match[str], *, is_called: bool) -> str:
    word = match.group().strip()
    if match["name"] is None or word.lower() in _KEYWORDS:
        return word
    known = _FUNCTIONS if is_called else frozenset(columns.kinds)
    if word not in known:
        raise NotFound(f"{'function' if is_called else 'column'} for {about}", word, known)
    return word if is_called else columns.sql(word)


def _parses(about: str, sql: str, columns: Columns) -> None:
    """Let DuckDB read it over an empty table."""
    import duckdb

    empty = ", ".join(f"NULL::{kind} AS {columns.sql(name)}" for name, kind in columns.kinds.items())
    connection = duckdb.connect(config={"enable_external_access": False})
    try:
        connection.execute(f"SELECT ({sql}){columns.cast} FROM (SELECT {empty}) WHERE false").fetchall()  # noqa: S608
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].partition(": ")[2] or str(error)
        raise UsageError(f"{about}: {sql!r} is no expression: {reason}") from None
    finally:
        connection.close()


def names(text: str) -> set[str]:
    """Return the words of a text that could be columns."""
    found = (match["name"] for match in _WORD.finditer(text))
    return {word for word in found if word is not None and word.lower() not in _KEYWORDS | _FUNCTIONS}
