"""The log's Parquet files: one an endpoint, a day and a schema, each written at once and never again.

    predictions/ENDPOINT/day=2013-04-01/NAME.parquet     by event time, in its order
    feedback/ENDPOINT/day=2013-04-01/NAME.parquet        by the moment it was received, in that order

The columns are those of ``schema``; an input ``distance`` is the column ``input_distance``, and three columns beginning
with ``log_`` say where the row was written first. Any tool reads them: DuckDB by ``read_parquet('…/**/*.parquet',
union_by_name = true)``. Those that are encrypted, as ``keys`` has it, have their key's id in their names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlprod_nb.columns import one_chunk
from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log.decoding import PLACE
from mlprod_nb.prediction_log.framing import RecordKind
from mlprod_nb.prediction_log.keys import LogKeys
from mlprod_nb.prediction_log.tables import INPUTS, moment_bounds, ordered

if TYPE_CHECKING:
    import pyarrow.dataset as ds

KINDS: tuple[RecordKind, ...] = ("predictions", "feedback")
SUFFIX = ".parquet"
PARTIAL = ".partial"
MOMENT_OF: dict[RecordKind, str] = {"predictions": "event_time", "feedback": "received_at"}
"""By which moment the rows of a kind are in days and in order."""

_Choice = Callable[[pa.Schema], list[str]]
_INPUT = "input_"
_SOURCES = b"mlprod.sources"
_DAY_US = 86_400_000_000
REPEATED = frozenset({"model", "variant", "prediction"})
"""Columns of predictions that hold few texts, each many times."""
# Small enough that one prediction is found without reading all of a day.
_ROWS_OF_A_GROUP = 32_768
# A dictionary of numbers that hardly repeat makes a file larger, and slower to write and to read.
_DICTIONARY_BYTES = 32_768
WRITTEN: Mapping[str, Any] = {
    "compression": "zstd",
    "row_group_size": _ROWS_OF_A_GROUP,
    "dictionary_pagesize_limit": _DICTIONARY_BYTES,
    "write_page_index": True,
    "write_page_checksum": True,
}
"""How pyarrow is to write a file."""
# A column is read piece by piece, which takes less memory than to read it at once, and no longer.
_BUFFER_BYTES = 65_536


class Gone(Corrupt):
    """A file is not there.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"file {path.name} of the prediction log is gone.", hint=_HINT)
        self.path = path


def by_day(kind: RecordKind, table: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of each day, in the order of their moments.

    Args:
        kind: Of which rows.
        table: Placed rows of one schema.
    """
    keys = [(MOMENT_OF[kind], "ascending"), ("prediction_id", "ascending")]
    rows = ordered(table, *keys).combine_chunks()
    days = rows[MOMENT_OF[kind]].cast(pa.int64()).to_numpy() // _DAY_US
    begins = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    for begin, end in zip(begins, [*begins[1:], rows.num_rows], strict=True):
        yield rows.slice(begin, end - begin)


def place_of(kind: RecordKind, endpoint: str, day: date, name: str) -> str:
    """Return a file's path from the log's folder. Names of files that begin with a dot or ``_`` are hidden to tools."""
    folder = quote(endpoint, safe="")
    if folder[:1] in (".", "_"):
        folder = f"%{ord(folder[0]):02X}{folder[1:]}"
    return f"{kind}/{folder}/day={day.isoformat()}/{name}{SUFFIX}"


def encode(table: pa.Table, sources: Sequence[str], keys: LogKeys) -> bytes:
    """Return a file's bytes.

    Args:
        table: Placed rows in their order.
        sources: What all its rows were in before: names of segments, or paths of files.
        keys: Say whether it is encrypted, and how; its name must have their :func:`~keys.name_part`.
    """
    flat = _flat(table).replace_schema_metadata({_SOURCES: json.dumps(sorted(sources)).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(flat, sink, encryption_properties=keys.encryption(), **WRITTEN)
    return bytes(sink.getvalue())


def read(path: Path, *, keys: LogKeys, only: Sequence[str] = (), where: pc.Expression | None = None) -> pa.Table:
    """Read the rows of a file that fulfil a condition; groups of rows that cannot have one are passed over.

    Args:
        path: The file.
        only: The columns to read beside those of the place, ``inputs`` for all inputs; all where empty.
        where: The condition.
        keys: Those that it may be encrypted with.

    Raises:
        Gone: The file is not there.
        KeyMissing: It is encrypted with another key.
        Corrupt: It is damaged.
    """
    try:
        data = _dataset(path, keys)
        columns = _columns(data.schema, only) if only else data.schema.names
        table = data.to_table(columns=columns, filter=where)
    except FileNotFoundError:
        raise Gone(path) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise Corrupt(f"file {path.name} of the prediction log is damaged: {_first_line(error)}.", hint=_HINT) from None
    return _nested(table.replace_schema_metadata(None), has_inputs=path.parts[-4] == "predictions", only=only)


def blocks(
    path: Path,
    *,
    keys: LogKeys,
    only: Sequence[str],
    where: pc.Expression | None = None,
    coded: bool = False,
    placed: bool = True,
) -> Iterator[pa.Table]:
    """Yield the rows of a file as :func:`read` gives them, group by group.

    Without a condition it stays clear of ``pyarrow.dataset``, which imports pandas.

    Args:
        path: The file.
        only: The columns to read, ``inputs`` for all inputs.
        where: The condition; ``None``: every row.
        coded: Give texts that repeat as dictionaries, where every row is read.
        placed: Read the columns of the place, too: they take a fifth of the time.
        keys: Those that it may be encrypted with.

    Raises:
        Gone: The file is not there.
        KeyMissing: It is encrypted with another key.
        Corrupt: It is damaged.
    """
    try:
        columns = partial(_columns, only=only, placed=placed)
        for table in _groups(path, columns, coded, keys) if where is None else _groups_that(path, columns, where, keys):
            rows = table.replace_schema_metadata(None)
            yield _nested(rows, has_inputs=path.parts[-4] == "predictions", only=only)
    except FileNotFoundError:
        raise Gone(path) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise Corrupt(f"file {path.name} of the prediction log is damaged: {_first_line(error)}.", hint=_HINT) from None


def may_hold(path: Path, column: str, values: Sequence[str], keys: LogKeys) -> bool:
    """Say whether some row of a file may have one of these texts in a column, by what its groups' bounds tell.

    Raises:
        Gone: The file is not there.
        KeyMissing: It is encrypted with another key.
        Corrupt: It is damaged.
    """
    try:
        metadata = pq.read_metadata(path, decryption_properties=keys.decryption(path))
    except FileNotFoundError:
        raise Gone(path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise Corrupt(f"file {path.name} of the prediction log is damaged: {_first_line(error)}.", hint=_HINT) from None
    place = metadata.schema.names.index(column)
    for group in range(metadata.num_row_groups):
        bounds = metadata.row_group(group).column(place).statistics
        if bounds is None or not bounds.has_min_max or any(bounds.min <= value <= bounds.max for value in values):
            return True
    return False


def _groups(path: Path, columns_of: _Choice, coded: bool, keys: LogKeys) -> Iterator[pa.Table]:
    decryption = keys.decryption(path)
    with pq.ParquetFile(path, page_checksum_verification=True, decryption_properties=decryption) as file:
        schema, metadata = file.schema_arrow, file.metadata
    columns = columns_of(schema)
    texts = [name for name in columns if coded and _few(name) and schema.field(name).type == pa.string()]
    with pq.ParquetFile(
        path,
        metadata=metadata,
        read_dictionary=texts,
        page_checksum_verification=True,
        decryption_properties=decryption,
        pre_buffer=False,
        buffer_size=_BUFFER_BYTES,
    ) as file:
        for group in range(metadata.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def _few(name: str) -> bool:
    """Say whether a column's texts are likely to repeat."""
    return name.startswith(_INPUT) or name in REPEATED


def _groups_that(path: Path, columns_of: _Choice, where: pc.Expression, keys: LogKeys) -> Iterator[pa.Table]:
    data = _dataset(path, keys)
    columns = columns_of(data.schema)
    for file in data.get_fragments():
        for group in file.split_by_row_group(where, schema=data.schema):
            yield group.to_table(schema=data.schema, columns=columns, filter=where)


def _dataset(path: Path, keys: LogKeys) -> ds.Dataset:
    import pyarrow.dataset as ds

    options = ds.ParquetFragmentScanOptions(
        page_checksum_verification=True, decryption_properties=keys.decryption(path)
    )
    return ds.dataset(path, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _columns(schema: pa.Schema, only: Sequence[str], *, placed: bool = True) -> list[str]:
    """Return a file's columns: those named, those of the place, and the inputs where they are wanted."""
    inputs = [name for name in schema.names if name.startswith(_INPUT)] if INPUTS in only else []
    return [*(name for name in only if name != INPUTS), *(PLACE.names if placed else ()), *inputs]


def rows_of(path: Path, content: bytes, keys: LogKeys) -> int:
    """Return how many rows a file's bytes have."""
    return int(pq.read_metadata(pa.BufferReader(content), decryption_properties=keys.decryption(path)).num_rows)


def schema_of(path: Path, content: bytes, keys: LogKeys) -> pa.Schema:
    """Return the schema of a file's bytes."""
    return pq.read_schema(pa.BufferReader(content), decryption_properties=keys.decryption(path)).remove_metadata()


def sources_of(path: Path, keys: LogKeys) -> list[str]:
    """Return what all rows of a file were in before: names of segments, or paths of files.

    Raises:
        KeyMissing: It is encrypted with another key.
        Corrupt: The file is damaged or none of the log's.
    """
    try:
        names = json.loads(pq.read_schema(path, decryption_properties=keys.decryption(path)).metadata[_SOURCES])
        return [str(name) for name in names]
    except (pa.ArrowInvalid, OSError, ValueError, KeyError, TypeError):
        raise Corrupt(f"{path.name} is no file of the prediction log.") from None


def bounds(kind: RecordKind, table: pa.Table) -> tuple[datetime, datetime, str, str]:
    """Return the first and the last moment, and the smallest and the largest prediction id."""
    ids = pc.min_max(table["prediction_id"]).as_py()
    return *moment_bounds(table[MOMENT_OF[kind]]), ids["min"], ids["max"]


_HINT = "mlprod verify lists all damage."


def _flat(table: pa.Table) -> pa.Table:
    if INPUTS not in table.column_names:
        return table
    given = one_chunk(table[INPUTS])
    flat = table.drop_columns([INPUTS])
    for number, field in enumerate(given.type):
        flat = flat.append_column(f"{_INPUT}{field.name}", given.field(number))
    return flat


def _nested(table: pa.Table, *, has_inputs: bool, only: Sequence[str]) -> pa.Table:
    """Return the rows with their inputs as one struct, in the order of columns that records have."""
    if not has_inputs or (only and INPUTS not in only):
        return table
    names = [name for name in table.column_names if name.startswith(_INPUT)]
    own = [name for name in table.column_names if name not in names and name not in PLACE.names]
    fields = [pa.field(name.removeprefix(_INPUT), table.schema.field(name).type) for name in names]
    if fields:
        struct = pa.StructArray.from_arrays([one_chunk(table[name]) for name in names], fields=fields)
    else:
        struct = pa.array([{}] * table.num_rows, pa.struct([]))
    nested = table.select(own).append_column(pa.field(INPUTS, struct.type), struct)
    for name in [name for name in PLACE.names if name in table.column_names]:
        nested = nested.append_column(table.schema.field(name), table[name])
    return nested


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".!")
