"""Two versions of a model side by side: code, data, parameters, packages, metrics."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.registry.bundles import LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN
from mlprod_nb.results import Result, Section, counted, format_value

if TYPE_CHECKING:
    from mlprod_nb.monitoring.profile import ColumnProfile, Profile
    from mlprod_nb.registry.lineage import Lineage
    from mlprod_nb.registry.versions import ModelVersion
    from mlprod_nb.reports.compare import DiffResult

#: Lines of the code's diff that are kept.
LINES = 400
_SHOWN = 60
_LONGEST = 160
_DIGEST = re.compile(r"[0-9a-fA-F]{4,64}")
#: What of a profile is no column of the data, as people call it.
_OUTCOMES = {SCORE_COLUMN: "the score", PREDICTION_COLUMN: "the prediction", LABEL_COLUMN: "the label"}


@dataclass(frozen=True)
class Difference:
    """One thing in which two versions differ.

    Attributes:
        part: code, data, parameters, packages or metrics.
        what: Which.
        before: What the first has; empty where it has none.
        after: What the second has; empty where it has none.
    """

    part: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class ColumnShift:
    """How a column of the reference data changed.

    Attributes:
        column: Its name; ``__score__``, ``__prediction__`` and ``__label__`` are the model's and the world's.
        measure: ``"means, in standard deviations"``: the difference of the means over the first's standard deviation
            (Cohen, Statistical Power Analysis, 1988, section 2.2); or ``"shares that moved"``: half the sum of the
            absolute differences of the shares, the total variation distance.
        size: How large it is; ``None`` where it cannot be told.
        missing_before: Share of the rows without a value, in the first.
        missing_after: The same in the second.
    """

    column: str
    measure: str
    size: float | None
    missing_before: float
    missing_after: float


@dataclass(frozen=True)
class VersionsDiff(Result):
    """What changed from one version to another.

    Attributes:
        before: The first version.
        after: The second.
        said: What changed, in words.
        differences: Every difference.
        columns: The columns of the reference data whose distribution changed, the most changed first.
        code: The cells' unified diff, at most its first 400 lines.
        code_lines: How many lines the whole diff has.
    """

    before: str
    after: str
    said: tuple[str, ...]
    differences: tuple[Difference, ...]
    columns: tuple[ColumnShift, ...]
    code: tuple[str, ...]
    code_lines: int
    _frame_field: ClassVar[str] = "differences"

    def headline(self) -> str:
        """Say what changed, the most telling first."""
        return f"From {self.before} to {self.after}: {self.said[0]}"

    def sections(self) -> list[Section]:
        """Return the sentences, the differences, the columns and the code."""
        said = Section("", (), tuple((sentence[:1].upper() + sentence[1:],) for sentence in self.said[1:]))
        rows = tuple((d.part, d.what, _short(d.before), _short(d.after)) for d in self.differences[:_SHOWN])
        table = Section(_first("what differs", self.differences), ("part", "what", "before", "after"), rows)
        names = ("column", "measure", "size", "missing_before", "missing_after")
        named = (replace(c, column=_OUTCOMES.get(c.column, c.column)) for c in self.columns[:_SHOWN])
        moved = tuple(tuple(getattr(c, name) for name in names) for c in named)
        columns = Section(_first("columns of the reference data", self.columns), names, moved)
        code = Section(f"code ({len(self.code)} of {self.code_lines} lines)", (), tuple((line,) for line in self.code))
        return [section for section in (said, table, columns, code) if section.rows]


@dataclass(frozen=True)
class _Version:
    """A version and what is known of it."""

    version: ModelVersion
    lineage: Lineage
    profile: Profile
    cells: tuple[str, ...]


def diff(context: Context, before: str, after: str) -> DiffResult | VersionsDiff:
    """Compare two reports by their digests, or two versions by their references.

    Raises:
        UsageError: One is a report and the other a version.
    """
    kinds = [_is_digest(word) for word in (before, after)]
    if all(kinds):
        from mlprod_nb.lifecycle.reporting import replaying

        return replaying.diff(context, before, after)
    if any(kinds):
        report, version = (before, after) if kinds[0] else (after, before)
        hint = "Give two digests of reports, or two versions, like flights/3 flights/4."
        raise UsageError(f"{report!r} is a report's digest and {version!r} names a version.", hint=hint)
    return versions(_read(context, before), _read(context, after))


def versions(before: _Version, after: _Version) -> VersionsDiff:
    """Return what changed from one version to another."""
    lines = list(_code(before.cells, after.cells))
    differences = (
        *_code_facts(before, after),
        *data_of(before.lineage, after.lineage),
        *parameters_of(before.lineage, after.lineage),
        *packages_of(before.lineage, after.lineage),
        *_metrics(before, after),
    )
    columns = tuple(sorted(_columns(before.profile, after.profile), key=lambda c: -(c.size or 0.0)))
    said = _in_words(differences, columns, lines, before, after)
    names = before.version.ref, after.version.ref
    return VersionsDiff(*names, tuple(said), differences, columns, tuple(lines[:LINES]), len(lines))


def _is_digest(word: str) -> bool:
    return bool(_DIGEST.fullmatch(word))


def _read(context: Context, reference: str) -> _Version:
    from mlprod_nb.monitoring.profile import Profile
    from mlprod_nb.registry.bundles import PROFILE

    version = context.registry.resolve(reference)
    bundle = context.registry.fetch_bundle(version, context.bundles)
    profile = Profile.from_json((bundle.path / PROFILE).read_bytes())
    lineage = context.registry.lineage(version)
    if lineage.notebook is not None:
        lineage = replace(lineage, notebook=replace(lineage.notebook, path=context.shown(lineage.notebook.path)))
    return _Version(version, lineage, profile, _cells(context, version, lineage))


def _cells(context: Context, version: ModelVersion, lineage: Lineage) -> tuple[str, ...]:
    """Return the code cells of the notebook that registered a version; none where nothing is kept of it."""
    from mlprod_nb.registry import attachments
    from mlprod_nb.registry.versions import NOTEBOOK_ARTIFACT

    if lineage.notebook is None or not lineage.notebook.kept:
        return tuple(cell.source for cell in lineage.notebook.cells) if lineage.notebook else ()
    try:
        notebook = json.loads(attachments.read(context.registry, version, NOTEBOOK_ARTIFACT))
    except NotFound:
        return ()
    return tuple(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")


def _code(before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    """Compare the cells line by line, each below a line that tells where it begins."""
    one, other = ([line for cell in cells for line in ("# ── cell", *cell.splitlines())] for cells in (before, after))
    yield from difflib.unified_diff(one, other, "before", "after", lineterm="", n=2)


def _code_facts(before: _Version, after: _Version) -> Iterator[Difference]:
    one, other = before.lineage, after.lineage
    yield from commits_of(one, other)
    paths = [{"notebook": found.notebook.path if found.notebook else ""} for found in (one, other)]
    yield from _pairs("code", *paths)


def commits_of(before: Lineage, after: Lineage) -> Iterator[Difference]:
    """Yield the commit, where it differs."""
    yield from _pairs("code", {"git commit": before.git.commit[:12]}, {"git commit": after.git.commit[:12]})


def data_of(before: Lineage, after: Lineage) -> Iterator[Difference]:
    """Yield in what the reference data differ."""
    facts = []
    for found in (before.data, after.data):
        columns = {f"column {c.name}": c.type + (", may be missing" if c.nullable else "") for c in found.columns}
        known = {"fingerprint": found.digest[:12], "target": found.target_digest[:12], "rows": f"{found.rows:,}"}
        facts.append({**known, "source": found.source, **columns})
    yield from _pairs("data", *facts)


def parameters_of(before: Lineage, after: Lineage) -> Iterator[Difference]:
    """Yield in which hyper-parameters two models differ."""
    yield from _pairs("parameters", before.parameters, after.parameters)


def packages_of(before: Lineage, after: Lineage) -> Iterator[Difference]:
    """Yield in which packages two environments differ, Python among them."""
    one, other = ({"Python": found.python, **found.packages} for found in (before, after))
    yield from _pairs("packages", one, other)


def _metrics(before: _Version, after: _Version) -> Iterator[Difference]:
    metrics = [
        {name: format_value(value) for name, value in found.version.metrics.items()} for found in (before, after)
    ]
    yield from _pairs("metrics", *metrics)


def _pairs(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name, "") != after.get(name, ""):
            yield Difference(part, name, before.get(name, ""), after.get(name, ""))


def _columns(before: Profile, after: Profile) -> Iterator[ColumnShift]:
    for one in (*before.columns, *before.outcomes):
        other = after.column(one.name)
        if other is None or other.kind != one.kind or _plain(one) == _plain(other):
            continue
        numbers = one.kind == "number"
        measure = "means, in standard deviations" if numbers else "shares that moved"
        size = _means(one, other) if numbers else _shares(one, other)
        yield ColumnShift(one.name, measure, size, _missing(one), _missing(other))


def _plain(column: ColumnProfile) -> tuple[object, ...]:
    return column.counts, column.edges, column.categories, column.rows, column.missing, column.mean


def _missing(column: ColumnProfile) -> float:
    return column.missing / column.rows if column.rows else 0.0


def _means(one: ColumnProfile, other: ColumnProfile) -> float | None:
    if one.mean is None or other.mean is None or not one.sd:
        return None
    size = abs(other.mean - one.mean) / one.sd
    return size if math.isfinite(size) else None


def _shares(one: ColumnProfile, other: ColumnProfile) -> float | None:
    """Return the total variation distance; categories that are not counted one by one count as one."""
    totals = sum(one.counts), sum(other.counts)
    if not all(totals):
        return None
    shares = [
        {name: count / total for name, count in zip((*c.categories, None), c.counts, strict=True)}
        for c, total in zip((one, other), totals, strict=True)
    ]
    return sum(abs(shares[0].get(n, 0.0) - shares[1].get(n, 0.0)) for n in {*shares[0], *shares[1]}) / 2


def _in_words(
    differences: tuple[Difference, ...],
    columns: tuple[ColumnShift, ...],
    lines: list[str],
    before: _Version,
    after: _Version,
) -> list[str]:
    parts = {part: [d for d in differences if d.part == part] for part in ("data", "parameters", "packages", "metrics")}
    said = []
    if not (before.cells and after.cells):
        said.append("the code is not compared: of one of them no notebook is kept.")
    elif lines:
        changed = sum(1 for line in lines[2:] if line[:1] in "+-")
        said.append(_so_many_differ(changed, "line of code"))
    own = sum(column.column not in _OUTCOMES for column in columns)
    answers = [_OUTCOMES[column.column] for column in columns if column.column in (SCORE_COLUMN, PREDICTION_COLUMN)]
    same_data = not parts["data"] and len(columns) == len(answers)
    if not same_data:
        moved = f", {counted(own, 'column')} in distribution" if own else ""
        said.append(f"the data differ{moved}.")
    said += [
        _so_many_differ(len(parts[f"{one}s"]), one) for one in ("parameter", "package", "metric") if parts[f"{one}s"]
    ]
    if same_data and answers:
        said.append(f"{' and '.join(answers)} {'differs' if len(answers) == 1 else 'differ'} on the same data.")
    return said or ["code, data, parameters, packages and metrics are equal."]


def _so_many_differ(count: int, thing: str) -> str:
    one, of, kind = thing.partition(" of ")
    return f"{counted(count, one)}{of}{kind} {'differs' if count == 1 else 'differ'}."


def _short(text: str) -> str:
    said = " ".join(text.split()) or "nothing"
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


def _first(title: str, rows: tuple[object, ...]) -> str:
    return f"{title} (first {_SHOWN} of {len(rows):,})" if len(rows) > _SHOWN else title
