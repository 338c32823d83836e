"""Retraining: the training notebook runs by papermill on a window of the log; what it registers is the challenger.

Guarantee: nothing that serves changes, and the alias moves only when the notebook reached its end with one new version.
A version carries the mark of the execution that registered it, so one that a killed process left is found by it.
"""

from __future__ import annotations

import shlex
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb import notebooks
from mlprod_nb.clock import iso, parse_duration, parse_moment
from mlprod_nb.errors import ExecutionFailed, MlprodError, NotFound, Refused, UsageError
from mlprod_nb.lifecycle.alerting import notifying, waiting
from mlprod_nb.lifecycle.alias_moves import aliases, owed, protecting
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.training import TrainingReader, check_mode
from mlprod_nb.lifecycle.watching import extent
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.results import Result, shown_path
from mlprod_nb.store.alerts import NewAlert

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from mlprod_nb.registry.versions import ModelVersion
    from mlprod_nb.routing import Variant

SHIPPED = "retrain"
_NEEDS = ("since", "until", "mode")


@dataclass(frozen=True)
class Retraining:
    """What to retrain, on what.

    Attributes:
        endpoint: The endpoint's name.
        mode: recent, full or weighted.
        since: Where the recent window begins; empty: ``[retraining] window`` before ``until``.
        until: Where it ends; empty: with the newest prediction.
        alias: The alias that the new version gets.
        reason: Why, for note and journal.
        mark: What the execution and so the new version is known by.
        dry_run: Show only.
    """

    endpoint: str
    mode: str
    since: str = ""
    until: str = ""
    alias: str = "challenger"
    reason: str = ""
    mark: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class RetrainResult(Result):
    """A new version was trained, or would be.

    Attributes:
        endpoint: The endpoint whose log it was trained on.
        serving: The version that serves, and goes on serving.
        version: The new version; empty for a dry run.
        alias: The alias that it has.
        mode: recent, full or weighted.
        since: Where the recent window begins.
        until: Where it ends.
        rows: Labelled rows to train on, where they were counted: for a dry run.
        source: The training notebook.
        notebook: The executed notebook, relative to the workspace.
        metrics: The new version's performance on the rows it was trained on.
        seconds: Wall-clock time of the execution.
        dry_run: Whether nothing was changed.
    """

    endpoint: str
    serving: str
    version: str
    alias: str
    mode: str
    since: str
    until: str
    rows: int | None
    source: str
    notebook: str
    metrics: dict[str, float]
    seconds: float
    dry_run: bool
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "version", "alias", "dry_run")

    def headline(self) -> str:
        """Name the new version."""
        if self.dry_run:
            return f"{self.source} would retrain {self.serving} on {self.rows:,} rows (dry run, nothing changed)."
        trained = f"{self.version} as @{self.alias}, trained on the log of {self.endpoint!r}"
        return f"Registered {trained}; {self.serving} still serves."


def retrain(context: Context, wanted: Retraining) -> RetrainResult:
    """Run the training notebook and make its version the challenger.

    Raises:
        NotFound: The endpoint, the mode or the notebook does not exist.
        Refused: There are too few labelled rows.
        NotebookFailed: The notebook failed, or reached its limit.
        ExecutionFailed: It registered no version, or several.
    """
    check_mode(wanted.mode)
    alone = context.caller.job and not wanted.mark
    variant = main_variant(existing(context, wanted.endpoint).spec, wanted.endpoint)
    protecting.refuse_new(context, variant.model, wanted.alias)
    wanted = _dated(context, replace(wanted, mark=wanted.mark or uuid.uuid4().hex))
    source = _notebook(context, variant)
    context.progress.step("counting the labelled rows")
    # Counted before anything is run, so that too few rows are refused at once.
    rows = TrainingReader(context).count(wanted.endpoint, since=wanted.since, until=wanted.until, mode=wanted.mode)
    output = _output(context, wanted)
    planned = RetrainResult(
        endpoint=wanted.endpoint,
        serving=variant.model_version,
        version="",
        alias=wanted.alias,
        mode=wanted.mode,
        since=wanted.since,
        until=wanted.until,
        rows=rows if wanted.dry_run else None,
        source=source.name,
        notebook="" if wanted.dry_run else output.relative_to(context.root).as_posix(),
        metrics={},
        seconds=0.0,
        dry_run=wanted.dry_run,
    )
    if wanted.dry_run:
        return planned
    begin = time.monotonic()
    context.progress.step(f"running {source.name}")
    _execute(context, wanted, source, output)
    context.progress.step("naming the new version")
    version = _registered(context, variant.model, wanted.mark)
    if version is None:
        raise ExecutionFailed(
            f"{source.name} registered no version of {variant.model}.", hint=f"See {shown_path(output)}"
        )
    also = _told(context, wanted, variant, version) if alone else None
    _name_it(context, version, wanted.alias, wanted.reason, also)
    if alone:
        notifying.deliver(context)
    seconds = round(time.monotonic() - begin, 1)
    return replace(planned, version=version.ref, metrics=version.metrics, seconds=seconds)


def finish(context: Context, endpoint: str, mark: str, reason: str) -> str:
    """End a retraining whose process died after its version was registered; return the version, or nothing."""
    variant = main_variant(existing(context, endpoint).spec, endpoint)
    version = _registered(context, variant.model, mark)
    if version is None:
        return ""
    _name_it(context, version, Retraining.alias, reason)
    return version.ref


def _dated(context: Context, wanted: Retraining) -> Retraining:
    """Return what is wanted with both ends of the window as moments."""
    now = context.clock()
    until = parse_moment(wanted.until, now=now) if wanted.until else _newest(context, wanted.endpoint)
    if wanted.since:
        since = parse_moment(wanted.since, now=now)
        if not wanted.until and since >= until:
            said = extent.told(context, wanted.endpoint)
            raise UsageError(f"--since {wanted.since} is after the newest prediction: {said}.")
    else:
        since = until - parse_duration(context.settings.retraining.window)
    return replace(wanted, since=iso(since), until=iso(until))


def _newest(context: Context, endpoint: str) -> datetime:
    """Return the second after the newest prediction's event."""
    ends = extent.extent(context, endpoint)
    if ends is None:
        raise Refused(f"{endpoint!r} has answered nothing yet, so there is nothing to train on.")
    return datetime.fromtimestamp(int(ends[1].timestamp()) + 1, tz=UTC)


def _notebook(context: Context, variant: Variant) -> Path:
    """Return the notebook to run: the one that is set, else the one that registered the version, else ours.

    The recorded one counts where it is still there and takes a window.
    """
    if context.settings.retraining.notebook:
        chosen = notebooks.find(context.settings.retraining.notebook, root=context.root)
        missing = set(_NEEDS) - set(notebooks.declared(notebooks.read(chosen)))
        if missing:
            hint = "Declare it in the cell tagged 'parameters', as notebooks/retrain.ipynb does."
            raise NotFound(f"parameter in {chosen.name}", min(missing), hint=hint)
        return chosen
    recorded = _recorded(context, variant)
    return recorded or notebooks.find(SHIPPED, root=context.root)


def _recorded(context: Context, variant: Variant) -> Path | None:
    try:
        lineage = context.registry.lineage(context.registry.resolve(variant.model_version))
        path = context.root / lineage.notebook.path if lineage.notebook and lineage.notebook.path else None
        fits = path is not None and path.is_file() and set(_NEEDS) <= set(notebooks.declared(notebooks.read(path)))
    except MlprodError:
        return None
    return path if fits else None


def _output(context: Context, wanted: Retraining) -> Path:
    folder = context.layout.reports / wanted.endpoint / "retraining"
    return folder / f"{context.clock():%Y%m%dT%H%M%SZ}-{wanted.mark[:8]}.ipynb"


def _execute(context: Context, wanted: Retraining, source: Path, output: Path) -> None:
    """Run the notebook with as much of what is wanted as its parameters cell declares."""
    known = notebooks.declared(notebooks.read(source))
    offered = {
        "workspace": str(context.root.resolve()),
        "endpoint": wanted.endpoint,
        "since": wanted.since,
        "until": wanted.until,
        "mode": wanted.mode,
        "note": wanted.reason or f"retrained ({wanted.mode}) on {wanted.since} to {wanted.until}",
    }
    notebooks.execute(
        source,
        output,
        {name: value for name, value in offered.items() if name in known},
        timeout_seconds=context.settings.retraining.timeout_seconds,
        cwd=context.root,
        within=notebooks.Surroundings(mark=wanted.mark, table="retraining", progress=context.progress),
    )


def _registered(context: Context, model: str, mark: str) -> ModelVersion | None:
    """Return the version that an execution registered.

    Raises:
        ExecutionFailed: It registered several.
    """
    found = [version for version in context.registry.versions(model) if version.execution == mark]
    if len(found) > 1:
        names = ", ".join(version.ref for version in found)
        raise ExecutionFailed(f"the training notebook registered {names}; it must register one.")
    return found[0] if found else None


def _told(
    context: Context, wanted: Retraining, serving: Variant, version: ModelVersion
) -> Callable[[Connection], None] | None:
    """Return what tells people of a version that nobody saw come; nothing where it is released by itself."""
    if context.settings.model(version.model).on_register == "release":
        return None
    sentence = (
        f"{version.ref} was retrained on the log of {wanted.endpoint!r} and waits as @{wanted.alias}; "
        f"{serving.model_version} still serves."
    )
    where = "" if wanted.endpoint == version.model else f" --endpoint {shlex.quote(wanted.endpoint)}"
    action = f"%mlprod release {version.ref}{where}"
    return waiting.told(context, NewAlert(wanted.endpoint, "retrain", "warn", sentence, action, "", ""), version.ref)


def _name_it(
    context: Context,
    version: ModelVersion,
    alias: str,
    reason: str,
    also: Callable[[Connection], None] | None = None,
) -> None:
    """Point the alias to a version; where it does already, nothing happens.

    Args:
        context: The workspace.
        version: The version.
        alias: The alias.
        reason: Why, for the journal.
        also: What is written in the same transaction.
    """
    move = aliases.planned(context, version.model, alias, version.version)
    if move.before == move.after:
        return
    cleared = protecting.clear(context, move)
    with owed.announced(context, [move]) as announce:
        with context.store.write() as connection:
            aliases.write_journal(context, connection, cleared, reason=reason)
            context.audit(connection, "retrain", version.ref, f"{move.alias} from {move.before or 'nothing'}: {reason}")
            if also is not None:
                also(connection)
            announce(None)
        aliases.apply(context, move)
