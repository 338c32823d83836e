"""Reading the log: pinned ranges, labels joined by prediction id, single predictions, SQL conditions.

Guarantee: a read gives every row that was acknowledged before it began, once, whatever is compacted meanwhile: segments
are opened first and the catalogue is read after, so a segment that it names is left out and one that it does not name
is still open. ``kill -9`` of writer or compactor at any moment changes nothing in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log import framing, lean, matching, query, reactions, scanning, tables
from mlprod_nb.prediction_log.catalogue import Catalogue, LogFile, Selection
from mlprod_nb.prediction_log.decoding import PLACE, decode, decode_placed
from mlprod_nb.prediction_log.framing import Damage, Record, RecordKind
from mlprod_nb.prediction_log.keys import NO_KEYS, LogKeys
from mlprod_nb.prediction_log.ranges import LogRange, utc
from mlprod_nb.prediction_log.removals import Removal, Removed
from mlprod_nb.prediction_log.scanning import damaged, inside
from mlprod_nb.prediction_log.schema import FEEDBACK_KEY


@dataclass(frozen=True)
class FoundPrediction:
    """One prediction and what was learnt of it.

    Attributes:
        row: The prediction's columns.
        feedback: Feedback rows, the oldest first.
    """

    row: dict[str, Any]
    feedback: list[dict[str, Any]]


class PredictionLog:
    """The log of one workspace as readers see it, the live tail included.

    Args:
        folder: Where the segments and files are; it may not exist yet.
        catalogue: Which files there are; ``None`` where nothing was ever compacted.
        keys: Those that they may be encrypted with.
    """

    def __init__(self, folder: Path, catalogue: Catalogue | None = None, keys: LogKeys = NO_KEYS) -> None:
        self.folder = folder
        self.catalogue = catalogue
        self._keys = keys
        self._places = scanning.Places(folder, catalogue, keys)

    def pin(self, endpoint: str, *, since: datetime | None = None, until: datetime | None = None) -> LogRange:
        """Return the range that holds an endpoint's rows as of now.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.

        Raises:
            Corrupt: A segment is damaged that was not compacted yet.
        """
        return self._places.steadily(lambda: self._pin(endpoint, since, until))

    def _pin(self, endpoint: str, since: datetime | None, until: datetime | None) -> LogRange:
        contents = self._places.look()
        ends: dict[str, int] = {}
        payloads: list[memoryview] = []
        for name, content in contents.segments.items():
            for found in framing.scan(content):
                if isinstance(found, Damage):  # whose records these were nobody can tell
                    raise damaged(name, found, scanning.ASIDE)
                if found.endpoint == endpoint:
                    ends[name] = found.end
                    payloads += [self._keys.open(name, found).payload] if found.kind == "predictions" else []
        since, until = (utc(since) if since else None), (utc(until) if until else None)
        files = self._places.files(Selection(endpoint=endpoint, until_version=contents.version))
        newest = max([self._places.removals.version(endpoint), *(file.version for file in files)])
        version = min(newest, contents.version)
        everything = LogRange(endpoint, tuple(ends.items()), since, until, 0, version)
        rows = sum(inside(table, everything).num_rows for table in decode(payloads, only=["shadow", "event_time"]))
        rows += sum(self._count(file, everything) for file in files if file.kind == "predictions")
        return replace(everything, rows=rows)

    def predictions(self, where: LogRange, *, shadows: bool = False, only: Sequence[str] = ()) -> pa.Table:
        """Return a range's predictions by event time, then id.

        The columns are ``schema.PREDICTION_FIELDS`` and ``inputs``, a struct of the columns that the versions took: one
        that a version did not take is missing there, and numbers of different types become float64.

        Args:
            where: The range.
            shadows: Return shadow rows, too.
            only: The columns to read; all where empty.

        Raises:
            Removed: Some of them were removed since the range was pinned, as the settings say.
            Corrupt: A record in the range is damaged, or a segment or a file is gone.
        """
        read = list(dict.fromkeys([*only, "prediction_id", "event_time", "shadow"])) if only else []
        found = self._places.steadily(
            lambda: [inside(table, where, shadows=shadows) for table in self._places.rows(where, "predictions", read)]
        )
        # Files of different days are in order then, and need not be sorted.
        by_time = sorted((table for table in found if table.num_rows), key=lambda table: table["event_time"][0].value)
        rows = _together("predictions", by_time, read)
        rows = tables.ordered(rows, ("event_time", "ascending"), ("prediction_id", "ascending"))
        return tables.without_place(rows, only)

    def check(self, where: LogRange) -> None:
        """See whether a pinned range can still be read.

        Raises:
            Removed: Some of its predictions were removed since it was pinned.
            Corrupt: The catalogue is not that of the log.
        """
        removed = self._places.removed(where)
        if removed:
            raise Removed(removed)

    def erased(self, where: LogRange) -> list[Removal]:
        """Return what was erased from the files of a range's predictions since it was pinned: at most so many rows."""
        return self._places.removed(where, "erasure")

    def removed(self, endpoint: str) -> list[Removal]:
        """Return what was removed of an endpoint's predictions."""
        return self._places.removals.of(endpoint)

    def feedback(self, where: LogRange) -> pa.Table:
        """Return a range's feedback about its predictions: of each prediction, kind, name and source the latest.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        return self._feedback(where, self.predictions(where, shadows=True, only=["prediction_id"])["prediction_id"])

    def unmatched(self, where: LogRange, ids: Sequence[str] | None = None) -> matching.Unmatched:
        """Return how much of an endpoint's feedback names none of its predictions, whatever their event times.

        Args:
            where: The range.
            ids: The ids that the feedback names; ``None``: all feedback of the range.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        return self._places.steadily(lambda: matching.unmatched(self._places, where, ids))

    def events(self, where: LogRange, about: pa.ChunkedArray, names: Sequence[str]) -> pa.Table:
        """Return a range's rewards and interactions of some names, every value that came, the newest first.

        Args:
            where: The range.
            about: Ids of its predictions; feedback about others is left out.
            names: The names.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        ids, known = about.combine_chunks(), pa.array(names, pa.string())

        def wanted(table: pa.Table) -> pa.Table:
            named = pc.and_(pc.not_equal(table["kind"], "label"), pc.is_in(table["name"], value_set=known))
            return table.filter(pc.and_(named, pc.is_in(table["prediction_id"], value_set=ids)))

        read = partial(self._places.rows, where, "feedback", (), ids=about)
        found = _together("feedback", self._places.steadily(lambda: [wanted(table) for table in read()]))
        return tables.without_place(tables.ordered(found, ("received_at", "descending")))

    def feedback_names(self, where: LogRange) -> list[tuple[str, str]]:
        """Return the kinds and names of all feedback in a range, each once.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        read = partial(self._places.rows, where, "feedback", ["kind", "name"])
        found = self._places.steadily(
            lambda: [table.group_by(["kind", "name"]).aggregate([]).to_pylist() for table in read()]
        )
        return sorted({(row["kind"], row["name"]) for rows in found for row in rows})

    def labelled(self, where: LogRange, *, shadows: bool = False, only: Sequence[str] = ()) -> pa.Table:
        """Return a range's predictions with their latest label.

        Four columns are added: ``label`` (text), ``label_number`` (where the label is a number), ``labelled_at`` (when
        its event was) and ``label_received_at`` (when it came); all missing where no label has come.

        Args:
            where: The range.
            shadows: Return shadow rows, too; a shadow has the label of the prediction that it shadows.
            only: The columns of predictions to read; all where empty.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        read = list(dict.fromkeys([*only, "prediction_id"])) if only else ()
        rows = self.predictions(where, shadows=shadows, only=read)
        feedback = self._feedback(where, rows["prediction_id"])
        labels = feedback.filter((pc.field("kind") == "label") & (pc.field("name") == "label"))
        # The newest comes first, and the first match counts.
        at = pc.index_in(rows["prediction_id"], value_set=labels["prediction_id"].combine_chunks())
        for name, column in lean.LABEL:
            rows = rows.append_column(name, labels[column].combine_chunks().take(at))
        return rows

    def outcomes(self, where: LogRange, *, only: Sequence[str]) -> pa.Table:
        """Return the rows of :meth:`labelled` without their ids, which take more memory than the rest.

        Model, variant and prediction are dictionaries, where it is not :meth:`labelled` that reads.

        Args:
            where: The range; shadows are left out.
            only: The columns of predictions to read; with ``inputs`` among them it is :meth:`labelled` that reads.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        if tables.INPUTS in only or lean.ID in only:
            return self.labelled(where, only=only)
        return self._places.steadily(lambda: lean.read(self._places, where, only))

    def reactions(self, where: LogRange) -> pa.Table:
        """Return the interactions and rewards about a range's predictions: of each source the latest.

        The columns are ``prediction_id``, ``kind``, ``name``, ``text``, ``number``, ``source`` and ``received_at`` of
        the feedback, ``event_time`` and ``variant`` of the prediction, and ``predicted_at``, when that was received.

        Args:
            where: The range; shadows are left out.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        return self._places.steadily(lambda: reactions.read(self._places, where))

    def tally(
        self, where: LogRange, key: str, tally: scanning.Tally, *, only: Sequence[str], times: scanning.Times = ()
    ) -> list[list[bytes]]:
        """Return what a function says of each part of a range's predictions; of whole files it is asked only once.

        Args:
            where: The range; shadows are left out.
            key: Names what the function says; at most 64 characters.
            tally: The function: what it says depends on nothing but the key and the rows.
            only: The columns that it reads.
            times: Of which event times, one result for each; those of the range where empty.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        windows = times or ((where.since, where.until),)
        return self._places.steadily(lambda: self._places.tally(where, key, tally, only=only, times=windows))

    def tally_ahead(self, file: LogFile, key: str, tally: scanning.Tally, *, only: Sequence[str]) -> None:
        """Ask a function about a whole file now, so that :meth:`tally` finds what it says.

        Args:
            file: One that :meth:`Catalogue.lacking` names.
            key: As in :meth:`tally`.
            tally: The function.
            only: The columns that it reads.

        Raises:
            Gone: The file was merged into another meanwhile, or is lost.
            Corrupt: It is damaged.
        """
        self._places.tally_file(file, key, tally, only=only)

    def sample(self, where: LogRange, rows: int, *, only: Sequence[str]) -> pa.Table:
        """Return some of a range's predictions by chance, by event time, then id: the same ones whenever it is asked.

        Args:
            where: The range; shadows are left out.
            rows: How many at most.
            only: The columns to read.

        Raises:
            Removed, Corrupt: As :meth:`predictions`.
        """
        found = self._places.steadily(lambda: self._places.sample(where, rows, only=only))
        read = list(dict.fromkeys([*only, "prediction_id", "event_time"]))
        together = _together("predictions", found, read)
        ordered = tables.ordered(together, ("event_time", "ascending"), ("prediction_id", "ascending"))
        return tables.without_place(ordered, only)

    def find(self, prediction_id: str) -> FoundPrediction | None:
        """Return one prediction with all its feedback, or ``None``; what answered, where shadows were scored, too."""
        return self._places.steadily(lambda: self._find(prediction_id))

    def _find(self, prediction_id: str) -> FoundPrediction | None:
        contents = self._places.look()
        sought = prediction_id.encode()
        matches = pc.field("prediction_id") == prediction_id
        found: dict[RecordKind, list[pa.Table]] = {"predictions": [], "feedback": []}
        for file in self._places.files(Selection(ids=(prediction_id, prediction_id), until_version=contents.version)):
            known = self._places.until(file, contents.version)
            found[file.kind].append(self._places.read(file, where=matches & known))
        for kind, some in found.items():
            records = (
                (name, record)
                for name, content in contents.segments.items()
                for record in self._whole_records(name, content)
                # Arrow keeps texts as they are, so a payload without these bytes need not be decoded.
                if record.kind == kind and sought in bytes(record.payload)
            )
            some += [table.filter(matches) for table in decode_placed(records)]
        # A shadow's row has the id of the prediction that it shadows.
        rows = [row for table in found["predictions"] for row in tables.without_place(table).to_pylist()]
        row = min(rows, key=lambda row: row["shadow"], default=None)
        feedback = tables.ordered(_together("feedback", found["feedback"]))
        return None if row is None else FoundPrediction(row, tables.without_place(feedback).to_pylist())

    def query(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: str = "",
        limit: int | None = 20,
        shadows: bool = False,
    ) -> pa.Table:
        """Return the newest rows that fulfil a SQL condition, newest first.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.
            where: A condition over the columns of :meth:`labelled`; inputs may be named plainly, or as ``inputs.name``.
            limit: How many rows at most; ``None``: all.
            shadows: Return shadow rows, too, as :meth:`labelled` does.

        Raises:
            UsageError: The condition is malformed or names no column.
        """
        rows = self.labelled(self.pin(endpoint, since=since, until=until), shadows=shadows)
        return query.select(rows, where=where, limit=limit)

    def verify(self) -> list[str]:
        """Read every byte of the log; return one line for each damage: which file, what is wrong and what to do."""
        from mlprod_nb.prediction_log import verify

        return verify.problems(self.folder, self.catalogue, self._keys)

    def _count(self, file: LogFile, where: LogRange) -> int:
        """Return how many rows of a file that are no shadows are in a range of event times."""
        since, until = where.since, where.until
        if (since is not None and file.last_at < since) or (until is not None and file.first_at >= until):
            return 0
        all_in_time = (since is None or file.first_at >= since) and (until is None or file.last_at < until)
        if all_in_time and file.version <= where.version:
            return file.rows - file.shadows
        known = self._places.until(file, where.version)
        return int(inside(self._places.read(file, only=["shadow", "event_time"], where=known), where).num_rows)

    def _whole_records(self, name: str, content: memoryview) -> Iterator[Record]:
        return (self._keys.open(name, found) for found in framing.scan(content) if isinstance(found, Record))

    def _feedback(self, where: LogRange, ids: pa.ChunkedArray) -> pa.Table:
        """Return the range's feedback about predictions, latest first, one a prediction, kind, name and source."""
        about = pc.is_in(pc.field("prediction_id"), value_set=ids.combine_chunks())
        read = partial(self._places.rows, where, "feedback", (), ids=ids)
        found = self._places.steadily(lambda: [table.filter(about) for table in read()])
        together = _together("feedback", found)
        # Places are in the order of arrival; of equal times the later one is the newer.
        rows = tables.without_place(tables.ordered(together, ("received_at", "descending")))
        return tables.first_of_each(rows, FEEDBACK_KEY)


def _together(kind: RecordKind, found: Iterable[pa.Table], only: Sequence[str] = ()) -> pa.Table:
    """Return the rows as one table."""
    columns = [*only, *PLACE.names]
    some = [table.select(columns) if only else table for table in found if table.num_rows]
    return tables.unify(some) if some else tables.empty(kind, only)
