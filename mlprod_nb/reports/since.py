"""What a report says of the time since the one before it: its verdict, and what is new, gone or still open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlprod_nb.clock import iso
from mlprod_nb.results import AlertChange, Verdict
from mlprod_nb.store import Store, report_index

#: Tells for a verdict and a report's digest what they mean for the alerts; changes nothing.
Compare = Callable[[Verdict, str], Sequence[AlertChange]]
_ORDER = ("new", "still open", "acknowledged", "snoozed", "recovered")
_SHAPES = {"new": "●", "still open": "○", "acknowledged": "◐", "snoozed": "◌", "recovered": "✓"}


@dataclass(frozen=True)
class Line:
    """One cause of an alert, as the page shows it.

    Attributes:
        shape: A mark beside the word.
        word: What became of it, as ``Still open``.
        cause: What is wrong, or was.
        remark: Since when, who sees to it, what was said then.
    """

    shape: str
    word: str
    cause: str
    remark: str


def nothing(_verdict: Verdict, _digest: str) -> tuple[AlertChange, ...]:
    """Compare with nothing."""
    return ()


def facts(store: Store, endpoint: str, kind: str, changes: Sequence[AlertChange]) -> dict[str, Any]:
    """Return what a page tells: the report before of the same kind, if there is one, and every change."""
    with store.read() as connection:
        found = report_index.list_reports(connection, endpoint=endpoint, kind=kind, limit=1)
    before = [
        {"digest": one.digest, "status": one.status, "sentence": one.sentence, "created_at": iso(one.created_at)}
        for one in found
    ]
    told = [asdict(change) | {"since": iso(change.since) if change.since else ""} for change in changes]
    return {"before": before[0] if before else None, "changes": told}


def lines(told: Sequence[dict[str, Any]], sentence: str) -> tuple[Line, ...]:
    """Return the changes as the page shows them, what is new first.

    Args:
        told: The changes, as :func:`facts` returns them.
        sentence: The verdict's sentence, which is not said twice.
    """
    ordered = sorted(told, key=lambda change: _ORDER.index(change["change"]) if change["change"] in _ORDER else 9)
    return tuple(_line(change, sentence) for change in ordered)


def _line(change: dict[str, Any], sentence: str) -> Line:
    word = str(change["change"])
    said = str(change["sentence"])
    remarks = [
        f"since {moment(change['since'])}" if change["since"] else "",
        str(change["note"]),
        f"then: {said}" if change["since"] and said != sentence else "",
    ]
    return Line(_SHAPES.get(word, "–"), word.capitalize(), str(change["cause"]), "; ".join(filter(None, remarks)))


def moment(text: str) -> str:
    """Return a moment as a reader wants it."""
    return text[:16].replace("T", " ") + " UTC"
