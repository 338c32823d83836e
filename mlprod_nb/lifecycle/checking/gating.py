"""Checking a version: the gates run, and what they found is archived with the version, sealed by its digest.

Guarantee: a report that is archived says nothing about another bundle, and none that was changed afterwards is read.
Whether a version may go on is asked of :func:`standing`, which every story that needs a passing report calls.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb import settings
from mlprod_nb.clock import iso
from mlprod_nb.errors import Corrupt, NotFound, Refused, UsageError
from mlprod_nb.lifecycle.checking import held_out, own_gates
from mlprod_nb.lifecycle.checking.held_out import NOTHING, Given
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.registering import bundling
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlprod_nb.gates import GateReport, Surroundings
    from mlprod_nb.registry.versions import ModelVersion
    from mlprod_nb.results import Verdict

ARCHIVE = "gates"
REPORT, PAGE, JUNIT = "report.json", "index.html", "junit.xml"


@dataclass(frozen=True)
class Standing:
    """Whether a version has passed its gates.

    Attributes:
        passes: It has a gate report that is true of its bundle, and whose verdict is not no.
        digest: That report's digest; empty where there is none.
        sentence: In words, with what to do where it does not pass.
    """

    passes: bool
    digest: str
    sentence: str


@dataclass(frozen=True)
class Check:
    """What to check, as :meth:`mlprod_nb.Workspace.check` takes it.

    Attributes:
        version: As ``flights/3`` or ``flights@challenger``.
        given: Held-out rows; those that are found where none are given.
        against: What it is compared with, as ``flights/2`` or ``champion``; the settings' alias where empty.
        exhaustive: Whether what takes minutes is tested too.
        junit: Where JUnit XML goes; nowhere where empty.
        summary: The file that the summary is added to; the one that GitHub Actions names where empty.
    """

    version: str
    given: Given = NOTHING
    against: str = ""
    exhaustive: bool = False
    junit: str = ""
    summary: str = ""


def check(context: Context, wanted: Check) -> GateReport:
    """Run the gates on a version and archive what they found; one that plain MLflow registered gets its bundle first.

    Raises:
        NotFound: The version, or a gate or an option that the settings name, does not exist.
        Refused: The version has no bundle, and none can be made.
        UsageError: The settings do not fit, or a file cannot be written.
    """
    from mlprod_nb import gates

    version = context.registry.resolve(wanted.version)
    if bundling.ensure(context, version, version.model):
        version = context.registry.resolve(version.ref)
    asked = context.settings.model(version.model).gates
    bundle = context.registry.fetch_bundle(version, context.bundles)
    around = surroundings(context, version, wanted)
    with temporary_folder("work") as scratch:
        place = own_gates.Place(context.root, scratch, context.settings.reports.timeout_seconds)
        every = gates.available()
        own = own_gates.of_model(asked, place, every)
        options = {name: values for name, values in asked.options.items() if name not in own}
        chosen = gates.chosen({**every, **own}, off=asked.off, options=options)
        context.progress.step("running the gates")
        inspection = gates.Inspection(bundle, version.ref, around)
        found = gates.run(inspection, gates=chosen, required=asked.required, progress=context.progress)
        rows, other = around.held_out, around.champion
        found = replace(
            found,
            verdict=_at_work(context, version, found.verdict),
            made_at=iso(context.clock()),
            held_out="" if isinstance(rows, str) else rows.told,
            against="" if isinstance(other, str) else other.subject,
        )
        report = archive(context, version, found, sorted(scratch.glob("*.ipynb")))
    write(report, wanted)
    return report


def _at_work(context: Context, version: ModelVersion, verdict: Verdict) -> Verdict:
    """Say which endpoints a version that passes serves already: then there is nothing to run next."""
    from mlprod_nb.store import revisions

    with context.store.read() as connection:
        active = revisions.newest_active(connection)
    names = sorted(
        name
        for name, revision in active.items()
        if revision.spec and any(one.model_version == version.ref and one.weight for one in revision.spec.variants)
    )
    if not names or verdict.status == "alarm":
        return verdict
    return replace(verdict, sentence=f"{verdict.sentence} It serves {', '.join(names)}.", action="")


def surroundings(context: Context, version: ModelVersion, wanted: Check) -> Surroundings:
    """Return what a version is held against: held-out rows, the champion, the packages it was made with."""
    from mlprod_nb.gates import Surroundings

    packages: dict[str, str] = {}
    with contextlib.suppress(Corrupt):
        packages = context.registry.lineage(version).packages
    return Surroundings(
        held_out=held_out.find(context, version, wanted.given),
        champion=held_out.champion(context, version, wanted.against),
        packages=packages,
        root=context.root,
        exhaustive=wanted.exhaustive,
    )


def last(context: Context, wanted: Check) -> GateReport:
    """Return the newest archived report of a version, without running anything.

    Raises:
        Refused: The version was never checked.
        Corrupt: The report was changed after it was archived.
    """
    report = _read(context, context.registry.resolve(wanted.version))
    write(report, wanted)
    return report


def standing(context: Context, version: ModelVersion) -> Standing:
    """Say whether a version has a passing gate report that is still true of its bundle and of the settings.

    Approvals name :attr:`Standing.digest`. A report of another bundle, one whose verdict is no, and one that leaves
    out a gate which ``[models.NAME.gates] required`` names by now, do not pass.

    Raises:
        Corrupt: The report was changed after it was archived.
    """
    again = f"Run: mlprod check {version.ref}"
    if not version.gate_report:
        return Standing(False, "", f"{version.ref} has no gate report. {again}")
    report = _read(context, version)
    if report.bundle != version.bundle:
        sentence = f"the gate report of {version.ref} is about another bundle. {again}"
        return Standing(False, report.digest, sentence)
    if report.verdict.status == "alarm":
        return Standing(False, report.digest, report.verdict.sentence)
    for name in context.settings.model(version.model).gates.required:
        outcome = report.outcome(name)
        if outcome is None or outcome.status != "ok":
            sentence = f"the gate {name!r} is required by now, and the report of {version.ref} does not show it passed."
            return Standing(False, report.digest, f"{sentence} {again}")
    return Standing(True, report.digest, report.verdict.sentence)


def archive(context: Context, version: ModelVersion, report: GateReport, executed: Sequence[Path] = ()) -> GateReport:
    """Seal a report, write its files into the workspace and the registry, and index it, so that it can be approved.

    The version's tag moves last: what it names is there, whole.

    Args:
        context: The workspace.
        version: The version that it is about.
        report: The report, without a digest yet.
        executed: The executed notebooks of gates that are notebooks.
    """
    from mlprod_nb.gates import formats
    from mlprod_nb.lifecycle.checking import gate_page
    from mlprod_nb.lifecycle.reporting import publishing
    from mlprod_nb.registry import attachments
    from mlprod_nb.registry.versions import GATES_TAG
    from mlprod_nb.store import evidence, report_index

    context.change()
    report = report.sealed()
    folder = context.layout.reports / version.model / ARCHIVE / f"v{version.version}-{report.digest[:12]}"
    report = replace(report, page=(folder / PAGE).relative_to(context.root).as_posix())
    folder.mkdir(parents=True, exist_ok=True)
    with context.store.read() as connection:
        before = report_index.list_reports(connection, endpoint=version.model, kind=ARCHIVE, limit=1)
    shown = gate_page.page(report, before[0] if before else None)
    for name, text in ((REPORT, report.to_json()), (PAGE, shown), (JUNIT, formats.junit(report))):
        (folder / name).write_text(text, encoding="utf-8")
    for notebook in executed:
        shutil.copyfile(notebook, folder / notebook.name)
    attachments.attach(context.registry, version, folder, _name(report.digest))
    attachments.tag(context.registry, version, GATES_TAG, report.digest)
    evidence.write(folder, report.body())
    record = report_index.ReportRecord(
        digest=report.digest,
        kind=ARCHIVE,
        endpoint=version.model,
        status=report.verdict.status,
        sentence=report.verdict.sentence,
        path=folder.relative_to(context.root).as_posix(),
        bound_to={"model_versions": [version.ref], "bundles": {version.ref: report.bundle}},
        created_at=context.clock(),
        files=evidence.seal(folder),
    )
    with context.store.write() as connection:
        report_index.add(connection, record)
        context.audit(connection, "check", version.ref, f"{report.digest} {report.verdict.status}")
    publishing.site(context)
    return report


def write(report: GateReport, wanted: Check) -> None:
    """Write JUnit XML and the step summary where they are wanted.

    Raises:
        UsageError: A file cannot be written.
    """
    from mlprod_nb.gates import formats

    summary = wanted.summary or settings.step_summary()
    try:
        if wanted.junit:
            Path(wanted.junit).write_text(formats.junit(report), encoding="utf-8")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(formats.summary(report) + "\n")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from None


def _read(context: Context, version: ModelVersion) -> GateReport:
    from mlprod_nb.gates import GateReport
    from mlprod_nb.registry import attachments

    if not version.gate_report:
        raise Refused(f"{version.ref} was never checked.", hint=f"Run: mlprod check {version.ref}")
    try:
        text = attachments.read(context.registry, version, f"{_name(version.gate_report)}/{REPORT}")
    except NotFound:
        hint = f"Run: mlprod check {version.ref}"
        raise Corrupt(f"the gate report of {version.ref} is missing from the registry.", hint=hint) from None
    report = GateReport.from_json(text)
    if report.digest != version.gate_report:
        raise Corrupt(f"the gate report of {version.ref} is not the one that was archived.")
    return report


def _name(digest: str) -> str:
    return f"{ARCHIVE}/{digest[:16]}"
