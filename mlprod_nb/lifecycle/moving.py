"""Moving a version between workspaces: exported to one archive, imported as a new version.

What was found and approved in one workspace counts for nothing in another: a gate report and an approval are sealed by
digests without a key, which whoever writes an archive can write as well. They come along as history, below ``origin``
in the version's artifacts, and the version is checked and approved anew. Its author is who imports it; the author
there cannot approve it here, either.

Importing runs no code of the model. Serving it does, where it is no ONNX model.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb import locks
from mlprod_nb.clock import iso
from mlprod_nb.errors import Corrupt, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.progress import uninterrupted
from mlprod_nb.results import Result
from mlprod_nb.scratch import temporary_folder
from mlprod_nb.store import approvals, journal, report_index

if TYPE_CHECKING:
    from mlprod_nb.registry.archives import Archive, Origin
    from mlprod_nb.registry.moving import Arrival
    from mlprod_nb.registry.versions import ModelVersion

_MOST_REPORTS = 1000


@dataclass(frozen=True)
class ExportResult(Result):
    """A version is in an archive.

    Attributes:
        version: As ``flights/3``.
        file: The archive.
        bytes: How large it is.
        files: How many files it holds.
        digest: Its SHA-256 digest, to be told to whoever imports it.
    """

    version: str
    file: str
    bytes: int
    files: int
    digest: str

    def headline(self) -> str:
        """Name the file."""
        return f"{self.version} is in {self.file} ({self.bytes / 1e6:,.1f} MB)."


@dataclass(frozen=True)
class PastReport:
    """A report about the version where it comes from; it counts for nothing here.

    Attributes:
        report: Its kind and the beginning of its digest.
        status: Its verdict.
        sentence: The verdict in words.
        approved_by: Who approved it there.
    """

    report: str
    status: str
    sentence: str
    approved_by: tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """What :meth:`mlprod_nb.Workspace.import_` takes."""

    file: str
    name: str = ""
    digest: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class ImportResult(Result):
    """An archive became a version, or was one already.

    Attributes:
        version: As ``flights/1``.
        origin: Which version of which workspace it is.
        outcome: ``imported``, ``already here`` or ``would be imported``.
        author_there: Who registered it where it comes from.
        digest: The archive's SHA-256 digest.
        bundle: The bundle's digest.
        then: What ``on_register`` does with it; empty where nothing is set.
        reports_there: What was found and approved where it comes from: history, which counts for nothing here.
    """

    version: str
    origin: str
    outcome: str
    author_there: str
    digest: str
    bundle: str
    then: str
    reports_there: tuple[PastReport, ...]
    _hidden: ClassVar[tuple[str, ...]] = ("outcome",)

    def headline(self) -> str:
        """Say which version it is."""
        if self.outcome == "already here":
            return f"{self.origin} is here already, as {self.version}."
        if self.outcome == "imported":
            return f"Imported {self.origin} as {self.version}. Next: mlprod check {self.version}"
        return f"The archive is whole; {self.origin} would become a version of {self.version}."


def export(context: Context, reference: str, to: str) -> ExportResult:
    """Write a version into an archive.

    Raises:
        NotFound: The version does not exist.
        Refused: It has no bundle, or the file cannot be written.
    """
    from mlprod_nb.registry import archives, bundles, models, moving

    context.change()
    version = context.registry.resolve(reference)
    if not version.bundle:
        raise models.no_bundle(version)
    file = Path(to or f"{version.model}-{version.version}.zip")
    if not file.parent.is_dir():
        raise Refused(f"there is no folder {file.parent}.", hint="Make it first.")
    with temporary_folder("work") as scratch:
        context.progress.step("gathering the version's files")
        params = moving.gather(context.registry, version, scratch)
        if bundles.read_bundle(scratch / archives.BUNDLE).digest != version.bundle:
            raise Corrupt(f"the bundle of {version.ref} in the registry is not the one that was registered.")
        (scratch / archives.HISTORY).write_text(_history(context, version), encoding="utf-8")
        context.progress.step("writing the archive")
        facts = archives.Facts(_origin(context, version), version.bundle, version.note, version.metrics, params)
        made = archives.pack(scratch, facts, file)
    with context.store.write() as connection:
        context.audit(connection, "export", version.ref, made.digest)
    return ExportResult(version.ref, str(file), made.size, len(made.members), made.digest)


def import_(context: Context, wanted: Import) -> ImportResult:
    """Make a version of an archive, or name the one that it became before.

    Raises:
        NotFound: There is no such file.
        Corrupt: The archive is damaged, or holds what none may.
        Refused: It is not the archive whose digest was given, or is of a later format.
        UsageError: The name will not do.
    """
    from mlprod_nb.registry import archives, models, moving

    if not wanted.dry_run:
        context.change()
    if wanted.name:
        models.check_name(wanted.name)
    archives.check_there(Path(wanted.file))
    with temporary_folder("work") as scratch:
        context.progress.step("checking the archive")
        archive = archives.unpack(Path(wanted.file), scratch)
        _expect(archive, wanted)
        arrival = _arrival(context, archive, scratch, wanted)
        past = _past(wanted.file, scratch / archives.HISTORY)
        with _alone(context):
            found = _found(context, arrival)
            if found is None and wanted.dry_run:
                return _result(arrival, arrival.name, "would be imported", past)
            outcome, then = "already here", ""
            with uninterrupted(second_breaks=True):
                if found is None:
                    context.progress.step("recording the version")
                    found, outcome = moving.record(context.registry, arrival), "imported"
                if not wanted.dry_run:
                    then = _write_down(context, found, arrival)
    return _result(arrival, found.ref, outcome, past, then)


def _expect(archive: Archive, wanted: Import) -> None:
    told = wanted.digest.strip().lower()
    if told and (len(told) < report_index.SHORT or not archive.digest.startswith(told)):
        hint = f"It has the digest {archive.digest}; at least {report_index.SHORT} characters are compared."
        raise Refused(f"{wanted.file} is not the archive with the digest {told[:64]}.", hint=hint)


def _arrival(context: Context, archive: Archive, folder: Path, wanted: Import) -> Arrival:
    """Return the version to be: its bundle is the one that the archive names, its records can be read."""
    from mlprod_nb.registry import archives, lineage, moving
    from mlprod_nb.registry.bundles import read_bundle

    bundle = read_bundle(folder / archives.BUNDLE)
    if bundle.digest != archive.facts.bundle:
        raise Corrupt(f"{wanted.file} holds another bundle than it names.", hint="Export the version again.")
    record = folder / "lineage.json"
    try:
        if record.is_file():
            lineage.Lineage.from_json(record.read_bytes())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{wanted.file} has a lineage that cannot be read: {error}.") from None
    name = wanted.name or archive.facts.origin.version.partition("/")[0]
    return moving.Arrival(name, folder, archive, bundle, context.caller.actor)


def _found(context: Context, arrival: Arrival) -> ModelVersion | None:
    """Return the version that the archive is already: imported before, or exported from here and still there."""
    from mlprod_nb.registry import moving

    facts = arrival.archive.facts
    if facts.origin.workspace == identity(context) and arrival.name in context.registry.models():
        for version in context.registry.versions(arrival.name):
            if version.ref == facts.origin.version and version.bundle == facts.bundle:
                return version
    return moving.find(context.registry, arrival.name, facts)


def _write_down(context: Context, version: ModelVersion, arrival: Arrival) -> str:
    """Write journal and audit trail, once, also where an import was killed before it could."""
    from mlprod_nb.lifecycle.releasing import watching

    if version.origin is None:  # it never left
        return ""
    context.bundles.add(arrival.bundle.path)
    origin = arrival.archive.facts.origin
    with context.store.write() as connection:
        if journal.arrived(connection, version.ref):
            return ""
        entry = journal.JournalEntry(
            at=context.clock(),
            actor=context.caller.actor,
            kind="import",
            subject=version.ref,
            before=origin.told,
            after=version.bundle,
            reason=version.note.strip(),
            command=context.caller.command,
        )
        journal.append(connection, entry)
        context.audit(connection, "import", version.ref, f"{arrival.archive.digest} {origin.workspace} {origin.told}")
        return watching.plan(context, connection, version.model, version.version)


def _result(arrival: Arrival, version: str, outcome: str, past: tuple[PastReport, ...], then: str = "") -> ImportResult:
    facts = arrival.archive.facts
    return ImportResult(
        version=version,
        origin=facts.origin.told,
        outcome=outcome,
        author_there=facts.origin.author,
        digest=arrival.archive.digest,
        bundle=facts.bundle,
        then=then,
        reports_there=past,
    )


def identity(context: Context) -> str:
    """Return the workspace's id, which no other has; it is made when first asked for, once."""
    file = context.layout.identity
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(uuid.uuid4().hex)
            with suppress(FileExistsError):
                os.link(scratch, file)
        finally:
            Path(scratch).unlink(missing_ok=True)
    return file.read_text(encoding="ascii").strip()


def _origin(context: Context, version: ModelVersion) -> Origin:
    from mlprod_nb.registry.archives import Origin

    name = context.settings.name or context.root.resolve().name
    author, made_at = version.author or "unknown", iso(version.created_at)
    return Origin(identity(context), _plain(name, 200), version.ref, _plain(author, 200), made_at)


def _history(context: Context, version: ModelVersion) -> str:
    """Return the reports about a version, with who approved them, as JSON."""
    with context.store.read() as connection:
        known = report_index.about(connection, version.ref)[:_MOST_REPORTS]
        found = [
            {
                "kind": record.kind,
                "digest": record.digest,
                "status": record.status,
                "sentence": record.sentence,
                "created_at": iso(record.created_at),
                "approvals": [
                    {"actor": one.actor, "reason": one.reason, "at": iso(one.at)}
                    for one in approvals.approvals_of(connection, record.digest)
                ],
            }
            for record in known
        ]
    return json.dumps({"reports": found}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _past(file: str, history: Path) -> tuple[PastReport, ...]:
    try:
        data: dict[str, Any] = json.loads(history.read_text(encoding="utf-8"))
        return tuple(
            PastReport(
                report=_plain(f"{one['kind']} {one['digest'][: report_index.SHORT]}"),
                status=_plain(one["status"]),
                sentence=_plain(one["sentence"]),
                approved_by=tuple(_plain(approval["actor"]) for approval in one["approvals"][:_MOST_REPORTS]),
            )
            for one in data["reports"][:_MOST_REPORTS]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{file} has a history that cannot be read: {error}.") from None


def _plain(text: str, longest: int = 500) -> str:
    """Return a text as one short line without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:longest]


def _alone(context: Context) -> AbstractContextManager[None]:
    """Let one import at a time look whether a version is there, and make it."""
    return locks.held(context.layout.state / "import.lock")
