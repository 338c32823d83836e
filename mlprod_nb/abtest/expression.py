"""Metrics and segments that a design brings as text: an expression over the columns of one row, and nothing more.

The text is read word by word against a list of what may occur (columns, numbers, quoted texts, operators, a few
functions), and what runs is put together from these words. So there is no statement, no comment, no file, no other
table and no setting that it could reach.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

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
class Columns:
    """What an expression may name.

    Attributes:
        kinds: The columns, with the type of each in SQL.
        prefix: What their names begin with where it runs.
        cast: What its value must be, as the end of a SQL cast; empty: anything.
        plain: Those of them that have no prefix.
    """

    kinds: Mapping[str, str]
    prefix: str = ""
    cast: str = ""
    plain: Container[str] = ()

    def sql(self, name: str) -> str:
        """Return a column's name where it runs."""
        if not self.prefix or name in self.plain:
            return name
        return '"' + f"{self.prefix}{name}".replace('"', '""') + '"'


OF_A_ROW = Columns(COLUMNS, cast="::DOUBLE")


def checked(about: str, text: str, columns: Columns = OF_A_ROW) -> str:
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
