"""Two reports side by side: what changed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mlprod_nb import notebooks
from mlprod_nb.errors import Corrupt
from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.reports import shown, verdicts
from mlprod_nb.reports.execute import NOTEBOOK
from mlprod_nb.reports.shown import Place
from mlprod_nb.results import Cause, Result, Section, Verdict, counted, format_value
from mlprod_nb.store import evidence

#: How many changed values are shown; all of them are data.
_SHOWN = 60
_LONGEST = 160
_WORDS = {"ok": "OK", "warn": "a warning", "alarm": "an alarm"}


@dataclass(frozen=True)
class Change:
    """One thing that two reports do not agree on.

    Attributes:
        part: ``verdict``, ``causes`` or ``bound to``; otherwise the part of the report.
        what: Which row or fact.
        column: Which column of a table; empty where there is none.
        before: What the first says; empty where it says nothing.
        after: What the second says; empty where it says nothing.
    """

    part: str
    what: str
    column: str
    before: str
    after: str


@dataclass(frozen=True)
class Evidence:
    """What a report says and rests on.

    Attributes:
        verdict: What it concludes, with its causes.
        bound_to: What its digest covers beside the verdict.
        values: What it shows.
    """

    verdict: Verdict
    bound_to: Mapping[str, Any]
    values: Mapping[Place, str]

    @classmethod
    def of(cls, notebook: Notebook, bound_to: Mapping[str, Any]) -> Evidence:
        """Return the evidence of an executed notebook."""
        return cls(verdicts.read(notebook), bound_to, shown.values(notebook))


@dataclass(frozen=True)
class Comparison:
    """How two reports differ.

    Attributes:
        verdict: Changes of the verdict and its causes.
        shown: Changes of what they show.
        bound: Changes of what they are bound to.
        compared: How many values both show.
    """

    verdict: tuple[Change, ...]
    shown: tuple[Change, ...]
    bound: tuple[Change, ...]
    compared: int

    @property
    def all(self) -> tuple[Change, ...]:
        """Every change, the verdict's first."""
        return (*self.verdict, *self.bound, *self.shown)


@dataclass(frozen=True)
class DiffResult(Result):
    """What changed from one report to another.

    Attributes:
        before: The digest of the first.
        after: The digest of the second.
        said: What changed, in words.
        changes: Every change.
    """

    before: str
    after: str
    said: tuple[str, ...]
    changes: tuple[Change, ...]

    _frame_field: ClassVar[str] = "changes"

    def headline(self) -> str:
        """Say the first and largest change."""
        return f"From report {self.before[:12]} to {self.after[:12]}: {self.said[0]}"

    def sections(self) -> list[Section]:
        """Return the sentences, and the changes."""
        rest = tuple(("", sentence) for sentence in self.said[1:])
        return [*([Section("", (), rest)] if rest else []), *table(self.changes)]


def read(folder: Path) -> Evidence:
    """Return the evidence of a report.

    Raises:
        NotFound: The report was removed.
        Corrupt: Its verdict, or what its notebook concludes, was changed after it was written.
    """
    body = evidence.verify(folder)
    found = Evidence.of(notebooks.read(folder / NOTEBOOK), body["bound_to"])
    stated = body["verdict"]
    if (found.verdict.status, found.verdict.sentence) != (stated["status"], stated["sentence"]):
        raise Corrupt(f"{folder / NOTEBOOK} concludes other than {evidence.FILE} beside it.", hint="Run it again.")
    return found


def compare(before: Evidence, after: Evidence) -> Comparison:
    """Return how two reports differ."""
    both = set(before.values) & set(after.values)
    return Comparison(
        verdict=tuple(_of_verdicts(before.verdict, after.verdict)),
        shown=tuple(_of_values(before.values, after.values)),
        bound=tuple(_of_bindings(before.bound_to, after.bound_to)),
        compared=len(both),
    )


def in_words(comparison: Comparison, before: Verdict, after: Verdict) -> list[str]:
    """Return what changed as sentences, the gravest first."""
    said = []
    if before.status != after.status:
        said.append(f"the verdict went from {_WORDS[before.status]} to {_WORDS[after.status]}.")
    elif comparison.verdict:
        said.append(f"the verdict is {_WORDS[after.status]} in both, for other reasons or in other words.")
    else:
        said.append(f"the verdict is {_WORDS[after.status]} in both, in the same words.")
    said += [_of_causes(comparison, "new", "after"), _of_causes(comparison, "gone", "before")]
    said += [f"{change.what}: {_short(change.before)} became {_short(change.after)}." for change in comparison.bound]
    parts = list(dict.fromkeys(change.part for change in comparison.shown))
    if parts:
        where = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        values = counted(len(comparison.shown), "value")
        verb = "differs" if len(comparison.shown) == 1 else "differ"
        said.append(f"{values} of {len(comparison.shown) + _same(comparison):,} {verb}, in: {where}.")
    else:
        said.append(f"all {comparison.compared:,} values that they show are equal.")
    return [sentence for sentence in said if sentence]


def table(changes: tuple[Change, ...]) -> list[Section]:
    """Return the changes as a table; nothing where there are none."""
    if not changes:
        return []
    more = f" (first {_SHOWN} of {len(changes):,})" if len(changes) > _SHOWN else ""
    rows = tuple((c.part, _short(c.what), c.column, _short(c.before), _short(c.after)) for c in changes[:_SHOWN])
    return [Section(f"what differs{more}", ("part", "what", "column", "before", "after"), rows)]


def _same(comparison: Comparison) -> int:
    return comparison.compared - sum(1 for change in comparison.shown if change.before and change.after)


def _of_causes(comparison: Comparison, word: str, side: str) -> str:
    other = "before" if side == "after" else "after"
    names = [c.what for c in comparison.verdict if c.part == "causes" and getattr(c, side) and not getattr(c, other)]
    return f"{word} {'cause' if len(names) == 1 else 'causes'}: {', '.join(names)}." if names else ""


def _short(text: str) -> str:
    said = " ".join(text.split()) or "nothing"
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


def _of_verdicts(before: Verdict, after: Verdict) -> Iterator[Change]:
    for name in ("status", "sentence", "action"):
        if getattr(before, name) != getattr(after, name):
            yield Change("verdict", name, "", getattr(before, name), getattr(after, name))
    yield from _pairs("causes", _grades(before.causes), _grades(after.causes))


def _grades(causes: tuple[Cause, ...]) -> dict[str, str]:
    return {cause.name: cause.grade for cause in causes if cause.grade != "ok"}


def _of_values(before: Mapping[Place, str], after: Mapping[Place, str]) -> Iterator[Change]:
    # In the order in which a reader meets them.
    for place in dict.fromkeys([*before, *after]):
        first, second = before.get(place, ""), after.get(place, "")
        if first != second:
            yield Change(place.part, place.row, place.column, first, second)


def _of_bindings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    yield from _pairs("bound to", _facts(before), _facts(after))


def _facts(bound_to: Mapping[str, Any]) -> dict[str, str]:
    """Return what a report is bound to as facts that a reader can compare."""
    facts = {"model versions": ", ".join(bound_to["model_versions"])}
    facts |= {f"bundle of {version}": digest[:12] for version, digest in bound_to.get("bundles", {}).items()}
    if where := bound_to.get("log_range"):
        facts["first event time"] = where["since"] or "the log's beginning"
        facts["last event time"] = where["until"] or "the log's end"
        facts["rows"] = f"{where['rows']:,}"
        facts["log range"] = where["digest"][:12]
    facts["notebook"] = bound_to["notebook_sha256"][:12]
    options = {f"parameter {name}": format_value(value) for name, value in bound_to["parameters"].items()}
    options |= {f"setting {name}": format_value(value) for name, value in bound_to.get("settings", {}).items()}
    packages = {name: str(version) for name, version in bound_to["packages"].items()}
    return facts | options | packages


def _pairs(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name, "") != after.get(name, ""):
            yield Change(part, name, "", before.get(name, ""), after.get(name, ""))
