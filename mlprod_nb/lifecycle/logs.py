"""The prediction log as users read it: rows, tables for analysis, who served a row; and its compaction by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb.clock import parse_moment
from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.watching import extent
from mlprod_nb.results import Result, Section, Verdict, counted, format_value
from mlprod_nb.store import revisions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: How many of a row's inputs a table shows: a row with all thirty of a model's is a screen high.
_INPUTS = 6


@dataclass(frozen=True)
class LogQuery:
    """What :meth:`mlprod_nb.Workspace.logs` takes."""

    endpoint: str
    since: str
    until: str
    where: str
    limit: int | None
    shadows: bool = False


@dataclass(frozen=True)
class LogsResult(Result):
    """Rows of the prediction log.

    Attributes:
        endpoint: The endpoint's name.
        rows: The rows, each a dictionary.
        only_shadows: Whether there are no rows because those that were asked for are of shadows, which are left out.
        elsewhere: Where the endpoint's predictions lie in time; told where the times that were asked for have none.
    """

    endpoint: str
    rows: tuple[dict[str, Any], ...]
    only_shadows: bool = False
    elsewhere: str = ""
    _frame_field: ClassVar[str] = "rows"

    def headline(self) -> str:
        """Say how many rows there are."""
        if self.only_shadows:
            return f"0 predictions of {self.endpoint!r}. What shadows answered is left out: --shadows shows it, too."
        if self.elsewhere:
            return f"0 predictions of {self.endpoint!r} in these times: {self.elsewhere}."
        return f"{counted(len(self.rows), 'prediction')} of {self.endpoint!r}."

    def sections(self) -> tuple[Section, ...]:
        """Show what a reader looks for first; the frame holds every column."""
        if not self.rows:
            return ()
        names = ["event_time", "variant", "model", "version", "unit", "prediction", "score", "inputs", "prediction_id"]
        if any(row.get("shadow") for row in self.rows):
            names.insert(2, "shadow")
        return (Section("", tuple(names), tuple(tuple(_shown(row.get(name)) for name in names) for row in self.rows)),)


@dataclass(frozen=True, eq=False)
class LogTable:
    """Rows of the prediction log for analysis, the newest first.

    Attributes:
        endpoint: The endpoint's name.
        table: The rows. Predictions have each of the model's inputs as a column, and their latest label.
        row: What one row is.
    """

    endpoint: str
    table: pa.Table
    row: str = "prediction"

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        rows = counted(len(self), self.row)
        return f"{rows} of {self.endpoint!r}: .to_frame() gives a data frame, .table is Arrow's."

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


class LogReader:
    """Reads the prediction log as tables; see :attr:`mlprod_nb.Workspace.log`.

    Args:
        context: The workspace.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(
        self,
        endpoint: str,
        *,
        since: str = "",
        until: str = "",
        where: str = "",
        limit: int | None = None,
        shadows: bool = False,
    ) -> LogTable:
        """Return an endpoint's rows.

        Args:
            endpoint: The endpoint's name.
            since: From this event time on: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.
            where: A SQL condition over the log's columns and the model's inputs.
            limit: How many rows at most; ``None``: all.
            shadows: What shadows answered, too; a shadow's row has the id of the prediction that it shadows.

        Raises:
            NotFound: The endpoint does not exist.
            UsageError: A moment or the condition is malformed, or the condition names no column.
        """
        from mlprod_nb.prediction_log import query

        asked = LogQuery(endpoint, since, until, where, limit, shadows)
        return LogTable(endpoint, query.flat(_read(self._context, asked)))

    def feedback(self, endpoint: str, *, since: str = "", until: str = "") -> LogTable:
        """Return what became of an endpoint's predictions: labels, rewards and interactions.

        Of each prediction, kind, name and source it is the latest: ``text`` is the value as it came, and ``number``
        the same where it is a number.

        Args:
            endpoint: The endpoint's name.
            since: Of predictions from this event time on: a date, a time, an age such as 7d, or yesterday.
            until: Of predictions before this event time.

        Raises:
            NotFound: The endpoint does not exist.
            UsageError: A moment is malformed.
        """
        check_endpoint(self._context, endpoint)
        begin, end = _moments(self._context, since, until)
        where = self._context.log.pin(endpoint, since=begin, until=end)
        return LogTable(endpoint, self._context.log.feedback(where), "feedback")


@dataclass(frozen=True)
class WhoServedResult(Result):
    """Which version answered, and why it was the one.

    Attributes:
        prediction_id: The id that was asked for.
        model_version: The version that answered, as ``flights/3``.
        variant: The variant's name.
        endpoint: The endpoint.
        revision: The endpoint's revision at that moment.
        revision_command: The line that had made that revision.
        revision_actor: Who had made it.
        unit: The unit that the row belonged to.
        event_time: When the event was.
        received_at: When the gateway received it.
        prediction: What was answered.
        score: Its score.
        latency_ms: How long it took.
        bundle: The digest of what answered.
        inputs: The row.
        feedback: What was learnt afterwards.
    """

    prediction_id: str
    model_version: str
    variant: str
    endpoint: str
    revision: int
    revision_command: str
    revision_actor: str
    unit: str
    event_time: datetime
    received_at: datetime
    prediction: str
    score: float
    latency_ms: float
    bundle: str
    inputs: dict[str, Any]
    feedback: tuple[dict[str, Any], ...]

    def headline(self) -> str:
        """Name the version."""
        return f"{self.model_version} served it, as {self.variant!r} of {self.endpoint!r} at revision {self.revision}."


@dataclass(frozen=True)
class CompactResult(Result):
    """What a compaction of the prediction log did.

    Attributes:
        verdict: Whether all went well.
        segments: How many segments went.
        rows: How many rows of them are in Parquet files now.
        files: How many files were added.
        leftovers: How many files and segments that a killed compaction had left were removed.
        problems: What is damaged or was left alone.
        removed_rows: How many rows were removed, since they were older than [log] keep_days.
        removed_files: How many files they were in.
    """

    verdict: Verdict
    segments: int
    rows: int
    files: int
    leftovers: int
    problems: tuple[str, ...]
    removed_rows: int = 0
    removed_files: int = 0


def logs(context: Context, query: LogQuery) -> LogsResult:
    """Read rows of the prediction log, newest first."""
    rows = _read(context, query).to_pylist()
    only_shadows = not (rows or query.shadows) and bool(_read(context, replace(query, limit=1, shadows=True)).num_rows)
    dated = query.since or query.until
    alone = dated and not (rows or only_shadows or query.where)
    return LogsResult(query.endpoint, tuple(rows), only_shadows, extent.told(context, query.endpoint) if alone else "")


def who_served(context: Context, prediction_id: str) -> WhoServedResult:
    """Find a prediction and the revision that was serving.

    Raises:
        NotFound: The log has no prediction with that id.
    """
    found = context.log.find(prediction_id)
    if found is None:
        raise NotFound(
            "prediction", prediction_id, hint="Ids are in a reply's prediction_ids and in: mlprod logs ENDPOINT"
        )
    row = found.row
    with context.store.read() as connection:
        past = {r.number: r for r in revisions.history(connection, row["endpoint"])}
    revision = past[row["revision"]]
    variant = revision.spec.variant(row["variant"]) if revision.spec else None
    return WhoServedResult(
        prediction_id=prediction_id,
        model_version=f"{row['model']}/{row['version']}",
        variant=row["variant"],
        endpoint=row["endpoint"],
        revision=row["revision"],
        revision_command=revision.command,
        revision_actor=revision.actor,
        unit=row["unit"] or "",
        event_time=row["event_time"],
        received_at=row["received_at"],
        prediction=row["prediction"] or "",
        score=row["score"],
        latency_ms=row["latency_ms"],
        bundle=variant.bundle if variant else "",
        inputs=row["inputs"],
        feedback=tuple(found.feedback),
    )


def compact(context: Context) -> CompactResult:
    """Put the rows of sealed segments into Parquet files, and count these for monitors, as after the gateway's own.

    Raises:
        Refused: Another process compacts the log.
    """
    from mlprod_nb.lifecycle.watching import counting_ahead
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.compaction import Compactor
    from mlprod_nb.prediction_log.keys import LogKeys

    kept = context.settings.log
    done = Compactor(
        context.layout.log,
        Catalogue(context.store),
        clock=context.clock,
        keys=LogKeys.of(context.layout, kept),
        keep_days=kept.keep_days,
    ).run()
    if done.busy:
        raise Refused("another process compacts the prediction log just now.", hint="Nothing else is to be done.")
    rows, segments = counted(done.rows, "row"), counted(done.segments, "segment")
    sentence = f"{rows} of {segments} went into {counted(done.files, 'Parquet file')}."
    if done.forgotten.files:
        removed, files = counted(done.forgotten.rows, "row"), counted(done.forgotten.files, "file")
        sentence += f" {removed} in {files} were removed, as [log] keep_days = {kept.keep_days} says."
    verdict = Verdict("ok", sentence)
    if done.problems:
        verdict = Verdict("alarm", f"{counted(len(done.problems), 'problem')} found.", "%mlprod verify")
    context.progress.step("counting files for the monitor")
    counting_ahead.count(context.log, context.store, context.bundles)  # of what it cannot count a look says why
    return CompactResult(
        verdict,
        done.segments,
        done.rows,
        done.files,
        done.leftovers,
        done.problems,
        done.forgotten.rows,
        done.forgotten.files,
    )


def _read(context: Context, query: LogQuery) -> pa.Table:
    check_endpoint(context, query.endpoint)
    since, until = _moments(context, query.since, query.until)
    return context.log.query(
        query.endpoint, since=since, until=until, where=query.where, limit=query.limit, shadows=query.shadows
    )


def check_endpoint(context: Context, endpoint: str) -> None:
    """See whether an endpoint exists, or did.

    Raises:
        NotFound: It never did.
    """
    with context.store.read() as connection:
        known = revisions.endpoint_names(connection)
    if endpoint not in known:
        raise NotFound("endpoint", endpoint, known)


def _moments(context: Context, *texts: str) -> tuple[datetime | None, ...]:
    now = context.clock()
    return tuple(parse_moment(text, now=now) if text else None for text in texts)


def _shown(value: Any) -> Any:
    """Return a value as a table shows it: of a row's many inputs the first ones."""
    if isinstance(value, dict) and len(value) > _INPUTS:
        first = dict(list(value.items())[:_INPUTS])
        return f"{format_value(first)} and {len(value) - _INPUTS} more"
    return value
