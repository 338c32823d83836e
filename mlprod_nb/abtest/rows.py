"""The rows that a scan reads: each prediction once, and what its feedback means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlprod_nb.abtest.outcome import EVENT, Outcome
from mlprod_nb.columns import arrow_values
from mlprod_nb.errors import InvalidInput, NotFound, nearest

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns that a table of labelled predictions must have (see the prediction log's ``labelled``).
COLUMNS = (
    "prediction_id",
    "variant",
    "model",
    "version",
    "unit",
    "event_time",
    "latency_ms",
    "prediction",
    "score",
    "label",
    "label_number",
)
#: The column that says whether a model failed on the row; without it, none did.
FAILED = "failed"
#: What the name of a column begins with that is a covariate.
COVARIATE = "covariate "
#: The same of a column that segments are made of.
SEGMENT = "segment "
#: The column that says under which split a row came, where the split was changed: a whole number.
PERIOD = "period"
#: The column that holds a variant's place in a list of their names.
VARIANT_CODE = "variant_code"
#: Clocks that differ by less than this agree.
CLOCKS_AGREE_US = 60_000_000
_BLOCK_ROWS = 1 << 16


def predictions(table: pa.Table) -> pa.Table:
    """Return the columns that a scan reads, without shadows, the event time in microseconds.

    Raises:
        InvalidInput: A column is missing; the message names it and the nearest that is there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in COLUMNS:
        if name not in table.column_names:
            near = nearest(name, table.column_names)
            hint = f"The nearest is {near!r}." if near else "Take the prediction log's labelled rows."
            raise InvalidInput(f"the table has no column {name!r}.", column=name, hint=hint)
    if "shadow" in table.column_names:
        table = table.filter(pc.invert(pc.fill_null(table["shadow"].cast(pa.bool_()), False)))
    micros = table["event_time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    begins = (COVARIATE, SEGMENT, EVENT)
    further = [name for name in table.column_names if name.startswith(begins) or name in (PERIOD, FAILED)]
    return table.select([*(name for name in COLUMNS if name != "event_time"), *further]).append_column(
        "event_us", micros
    )


def in_future(table: pa.Table) -> int | None:
    """Count the rows whose event time is beyond their arrival: somebody's clock is wrong."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "received_at" not in table.column_names:
        return None
    happened, received = (
        table[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64()) for name in ("event_time", "received_at")
    )
    late = pc.greater(happened, pc.add(received, CLOCKS_AGREE_US))
    return int(pc.sum(late.cast(pa.int64())).as_py() or 0)


def distinct(table: pa.Table) -> tuple[pa.Table, int]:
    """Keep each prediction once: the server makes the ids, so a repeat is the same prediction read twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _ascending(table):
        return table, 0
    repeated = table.num_rows - pc.count_distinct(table["prediction_id"], mode="all").as_py()
    if not repeated:
        return table, 0
    numbered = table.append_column("row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by("prediction_id", use_threads=False).aggregate([("row", "min")])["row_min"]
    return table.take(first.sort()), repeated


def _ascending(table: pa.Table) -> bool:
    """Return whether the rows come by event time, then id, as the log gives them: then repeats would be neighbours."""
    import pyarrow.compute as pc

    if table.num_rows < 2:
        return True
    times, ids = arrow_values(_whole(table["event_us"])), table["prediction_id"]
    for start in range(0, len(times) - 1, _BLOCK_ROWS):
        block = times[start : start + _BLOCK_ROWS + 1]
        if (block[1:] > block[:-1]).all():
            continue
        if (block[1:] < block[:-1]).any():
            return False
        same = start + np.flatnonzero(block[1:] == block[:-1])
        if not pc.all(pc.greater(ids.take(same + 1), ids.take(same))).as_py():
            return False
    return True


def coded(table: pa.Table, outcome: Outcome) -> tuple[pa.Table, list[str]]:
    """Return a table with the true class of each row and its variant as a number, and the variants by these numbers."""
    variants = _dictionary(table["variant"])
    table = table.append_column(VARIANT_CODE, variants.indices).append_column(
        "label_class", label_class(table, outcome)
    )
    return table, variants.dictionary.to_pylist()


def label_class(table: pa.Table, outcome: Outcome) -> pa.Array:
    """Return the true class of each row; feedback may write class 1 as 1, 1.0, ``"1"`` or true.

    Where every label is written as its class, the labels' dictionary is that of the classes and no row is looked at.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if outcome.task == "regression":
        return pa.nulls(table.num_rows, pa.string())
    labels, numbers = _dictionary(table["label"]), _whole(table["label_number"])
    texts = labels.dictionary.to_pylist()
    if set(texts) <= set(outcome.classes) and not pc.any(pc.and_(labels.is_null(), numbers.is_valid())).as_py():
        return labels
    missing = len(outcome.classes)
    place = {name: at for at, name in enumerate(outcome.classes)}
    by_text = np.array([*(place.get(text, missing) for text in texts), missing])
    found = by_text[arrow_values(labels.indices.cast(pa.int32()).fill_null(len(texts)))]
    values, unknown = arrow_values(numbers.cast(pa.float64()).fill_null(float("nan"))), found == missing
    for at, name in reversed(list(enumerate(outcome.classes))):  # of two that are one number the first is meant
        if (number := _number(name)) is not None:
            found[unknown & (values == number)] = at
    return pa.DictionaryArray.from_arrays(pa.array(found, mask=found == missing), pa.array(outcome.classes))


def _dictionary(texts: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return texts as places in the list of those that differ."""
    import pyarrow as pa

    if not pa.types.is_dictionary(texts.type):
        texts = texts.cast(pa.string()).dictionary_encode()
    return _whole(texts.unify_dictionaries())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, which is a copy only where it has several parts."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def label_known(outcome: Outcome) -> str:
    """Return the SQL of the truth where there is one that can be used."""
    if outcome.task == "classification":
        return "label_class"
    return "CASE WHEN isfinite(label_number) THEN label_number END"


def _number(text: str) -> float | None:
    if text in ("True", "False"):
        return float(text == "True")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def with_inputs(table: pa.Table, covariates: Sequence[str], segments: Sequence[str] = ()) -> pa.Table:
    """Return a table whose ``inputs`` are gone but for some, each a column of its own.

    Args:
        table: Labelled predictions with ``inputs``, a struct.
        covariates: Numeric inputs.
        segments: Inputs of any type that segments are made of.

    Raises:
        NotFound: There is no such input.
        InvalidInput: A covariate holds no numbers.
    """
    import pyarrow as pa

    inputs = table["inputs"].combine_chunks()
    known = {field.name: at for at, field in enumerate(inputs.type)}
    table = table.drop_columns(["inputs"])
    for kind, names in (("covariate", covariates), ("segment", segments)):
        for name in names:
            if name not in known and table.num_rows:
                raise NotFound(f"input to take as a {kind}", name, known)
    columns = {name: inputs.field(at) for name, at in known.items()}
    for name in covariates:
        column = columns.get(name, pa.nulls(0, pa.float64()))
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise InvalidInput(f"covariate {name!r} holds no numbers.", column=name, hint="Take numeric inputs.")
        table = table.append_column(COVARIATE + name, column.cast(pa.float64()))
    for name in segments:
        table = table.append_column(SEGMENT + name, columns.get(name, pa.nulls(0, pa.string())))
    return table
