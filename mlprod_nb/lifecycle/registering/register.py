"""Registering a fitted model: signature, profile, bundle, lineage, and only then a version; all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb import settings
from mlprod_nb.errors import NotFound
from mlprod_nb.lifecycle.alias_moves import aliases, owed, protecting
from mlprod_nb.lifecycle.checking.held_out import NOTHING, Given
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.progress import uninterrupted
from mlprod_nb.results import Result, Section, counted
from mlprod_nb.scratch import temporary_folder
from mlprod_nb.store import journal

if TYPE_CHECKING:
    from mlprod_nb.registry.bundles import Manifest
    from mlprod_nb.registry.lineage import Lineage
    from mlprod_nb.registry.versions import Candidate, ModelVersion

_CLEAN = "ran from top to bottom in a fresh kernel"


@dataclass(frozen=True)
class Submission:
    """What :meth:`mlprod_nb.Workspace.register` takes."""

    name: str
    model: Any
    data: Any
    target: Any
    alias: str
    note: str
    rows: Given = NOTHING
    snapshot: bool = False
    from_clean_run: bool = False


@dataclass(frozen=True)
class RegisterResult(Result):
    """A new version is there.

    Attributes:
        version: As ``flights/3``.
        alias: The alias that was set on it, or empty.
        runtime: ``onnx``, or ``python`` where the model is served by a model worker.
        runtime_reason: Why it is not ONNX; empty where it is.
        largest_difference: Bundle against original on the reference sample: the largest difference of a score.
        label_flips: On how many rows of the sample the labels differ.
        reference_rows: How many rows the reference profile was made of.
        metrics: The model's performance on the reference data; empty without a target.
        note: The version's note.
        bundle: The bundle's digest.
        then: What ``on_register`` does with it, and who does; empty where nothing is set.
        remarks: What does not agree between the notebook and what ran: cells out of order, edited, or not run.
        notebook: How the notebook ran, where it was a clean run.
    """

    version: str
    alias: str
    runtime: str
    runtime_reason: str
    largest_difference: float
    label_flips: int
    reference_rows: int
    metrics: dict[str, float]
    note: str
    bundle: str
    then: str = ""
    remarks: tuple[str, ...] = ()
    notebook: str = ""
    _hidden: ClassVar[tuple[str, ...]] = ("remarks",)

    def headline(self) -> str:
        """Name the version."""
        alias = f" as @{self.alias}" if self.alias else ""
        slow = "" if self.runtime == "onnx" else ", served by a model worker"
        return f"Registered {self.version}{alias}{slow}."

    def sections(self) -> list[Section]:
        """Show the facts, and below them the remarks on the notebook."""
        remarks = Section("the notebook", (), tuple((remark,) for remark in self.remarks))
        return [*super().sections(), *([remarks] if self.remarks else [])]


@dataclass(frozen=True)
class VersionRow:
    """One version of a model.

    Attributes:
        version: As ``flights/3``.
        aliases: Its aliases.
        runtime: ``onnx`` or ``python``.
        author: Who registered it.
        created_at: When.
        metrics: Its performance on the reference data.
        note: Its note.
        origin: Which version of which workspace it was, where it was imported.
    """

    version: str
    aliases: tuple[str, ...]
    runtime: str
    author: str
    created_at: datetime
    metrics: dict[str, float]
    note: str
    origin: str = ""


@dataclass(frozen=True)
class ModelsResult(Result):
    """Versions, newest first.

    Attributes:
        models: How many models there are.
        versions: One row a version: all of one model, or the newest and the aliased of each.
    """

    models: int
    versions: tuple[VersionRow, ...]
    _hidden: ClassVar[tuple[str, ...]] = ("models",)

    def headline(self) -> str:
        """Say how many there are."""
        if not self.versions:
            return "No model is registered yet."
        return f"{counted(len(self.versions), 'version')} of {counted(self.models, 'model')}."


def register(context: Context, submission: Submission) -> RegisterResult:
    """Register a model as a new version."""
    from mlprod_nb.lifecycle.registering import candidates, clean_run
    from mlprod_nb.lifecycle.reproducing import replicas
    from mlprod_nb.registry import models

    models.check_name(submission.name)
    if submission.alias:
        models.check_alias(submission.alias)
    # An execution is a clean run already, so its own registration is for real.
    if submission.from_clean_run and not context.caller.execution:
        protecting.refuse_new(context, submission.name, submission.alias)  # sooner than after the whole run
        return clean_run.register(context, submission)
    kept = settings.candidates_folder()
    if kept is not None:
        with temporary_folder("work") as scratch:
            candidate = candidates.build(context, submission, scratch)
            return result(candidate, version=replicas.keep(candidate, kept), alias=submission.alias)
    protecting.refuse_new(context, submission.name, submission.alias)
    with temporary_folder("work") as scratch:
        candidate = candidates.build(context, submission, scratch)
        context.progress.step("recording the version")
        promise = owed.registered(context, submission.name, candidate.bundle.digest, submission.note.strip())
        with uninterrupted(second_breaks=True), promise:
            version = context.registry.register(candidate)
            then = _name_it(context, version, submission)
    return replace(result(candidate, version=version.ref, alias=submission.alias), then=then)


def result(candidate: Candidate, *, version: str, alias: str) -> RegisterResult:
    """Return what registering a candidate came to."""
    manifest, notebook = candidate.bundle.manifest, candidate.lineage.notebook
    return RegisterResult(
        version=version,
        alias=alias,
        runtime=manifest.runtime,
        runtime_reason=manifest.runtime_reason,
        largest_difference=manifest.agreement.max_difference,
        label_flips=manifest.agreement.label_flips,
        reference_rows=candidate.lineage.data.rows,
        metrics=candidate.metrics,
        note=candidate.note,
        bundle=candidate.bundle.digest,
        remarks=notebook.remarks if notebook else (),
        notebook=_CLEAN if notebook and notebook.clean else "",
    )


def described(version: ModelVersion, manifest: Manifest, lineage: Lineage) -> RegisterResult:
    """Return what registering a version came to that another process has registered."""
    return RegisterResult(
        version=version.ref,
        alias=next(iter(version.aliases), ""),
        runtime=manifest.runtime,
        runtime_reason=manifest.runtime_reason,
        largest_difference=manifest.agreement.max_difference,
        label_flips=manifest.agreement.label_flips,
        reference_rows=lineage.data.rows,
        metrics=version.metrics,
        note=version.note,
        bundle=version.bundle,
        notebook=_CLEAN if lineage.notebook and lineage.notebook.clean else "",
    )


def models(context: Context, name: str) -> ModelsResult:
    """List versions.

    Raises:
        NotFound: There is no model of that name.
    """
    names = context.registry.models()
    if name and name not in names:
        raise NotFound("model", name, names)
    rows = [version for model in ([name] if name else names) for version in context.registry.versions(model)]
    shown = tuple(
        VersionRow(
            *(v.ref, v.aliases, v.runtime, v.author, v.created_at, v.metrics, v.note),
            origin=v.origin.told if v.origin else "",
        )
        for v in sorted(rows, key=lambda version: version.created_at, reverse=True)
    )
    return ModelsResult(1 if name else len(names), shown)


def _name_it(context: Context, version: ModelVersion, submission: Submission) -> str:
    """Write the journal, and set the alias where one was asked for; return what is done with the version then."""
    from mlprod_nb.lifecycle.releasing import watching

    move = aliases.planned(context, version.model, submission.alias, version.version) if submission.alias else None
    cleared = protecting.clear(context, move) if move else None
    entry = journal.JournalEntry(
        at=context.clock(),
        actor=context.caller.actor,
        kind="register",
        subject=version.ref,
        before="",
        after=version.bundle,
        reason=submission.note.strip(),
        command=context.caller.command,
    )
    with owed.announced(context, [move] if move else []) as announce:
        with context.store.write() as connection:
            journal.append(connection, entry)
            if cleared is not None:
                aliases.write_journal(context, connection, cleared, reason=entry.reason)
            context.audit(connection, "register", version.ref, version.bundle)
            then = watching.plan(context, connection, version.model, version.version)
            announce(None)
        if move is not None:
            aliases.apply(context, move)
    return then
