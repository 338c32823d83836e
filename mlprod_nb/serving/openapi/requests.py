"""How the OpenAPI document describes a request for predictions: one schema for each of its forms."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from mlprod_nb.registry.bundles import Column, ColumnType
from mlprod_nb.serving.openapi.schemas import Schema, any_of, array, members, reference, text

EXAMPLES: dict[ColumnType, Any] = {"double": 1.5, "long": 1, "boolean": True, "string": "a"}
"""A value of each type."""
EXAMPLE_COLUMNS = (Column("distance", "double", nullable=False), Column("carrier", "string", nullable=False))
"""What the examples ask where no endpoint is named."""

_TYPES: dict[ColumnType, str] = {"double": "number", "long": "integer", "boolean": "boolean", "string": "string"}
_NULL: Schema = {"type": "null"}


def json_body(columns: Sequence[Column], unit: str = "", endpoint: str = "") -> dict[str, Any]:
    """Return the media type object of a request in JSON.

    Args:
        columns: What the endpoint takes, or nothing: whatever it takes.
        unit: What a unit is, or empty.
        endpoint: The endpoint whose schemas :func:`by_column` made, or empty.
    """
    inputs = f"Inputs_{endpoint}" if endpoint else "Inputs"
    forms = [reference(name) for name in (inputs, "DataframeSplit", "DataframeRecords", "Instances")]
    example: dict[str, Any] = {
        "inputs": {column.name: [EXAMPLES[column.type]] for column in columns or EXAMPLE_COLUMNS}
    }
    if unit:
        example["units"] = ["unit-1"]
    return {"schema": any_of("", *forms), "example": example}


def csv_body(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the media type object of a request in CSV."""
    page, shown = io.StringIO(), columns or EXAMPLE_COLUMNS
    csv.writer(page).writerows([[column.name for column in shown], [EXAMPLES[column.type] for column in shown]])
    schema = text("A line of column names, then a line a row; an empty cell is missing.")
    return {"schema": schema, "example": page.getvalue()}


def by_column(columns: Sequence[Column], endpoint: str = "") -> dict[str, Schema]:
    """Return the schemas of a request by column: of its columns, and of the whole.

    Args:
        columns: What the endpoint takes, or nothing: whatever it takes.
        endpoint: The endpoint, which their names then end with.
    """
    ending = f"_{endpoint}" if endpoint else ""
    values = {column.name: array({"type": _json_type(column)}) for column in columns}
    others = False if columns else array({})
    rows = array(array({}), "Rows as lists in the signature's order.")
    return {
        f"Columns{ending}": members("A list of values for each column.", values, additionalProperties=others),
        f"Inputs{ending}": _form({"inputs": any_of("", reference(f"Columns{ending}"), rows)}),
    }


def _form(rows: Mapping[str, Schema]) -> Schema:
    options: Schema = {
        "units": _maybe_array(any_of("", text(), {"type": "integer"}, _NULL), "Who is randomised."),
        "event_time": any_of(
            "ISO 8601, one for all rows or a list; the present where left out.",
            text(),
            array({"type": ["string", "null"]}),
            _NULL,
        ),
        "client_ids": _maybe_array({}, "Echoed, and nothing else."),
        "explain": {"type": "boolean", "description": "Whether to explain each row's score, by column."},
        "params": {"type": ["object", "null"], "maxProperties": 0, "description": "No model takes any."},
    }
    return members("Rows in one of the forms, and what else there is to say of them.", rows, options)


def _maybe_array(items: Schema, description: str) -> Schema:
    return {"type": ["array", "null"], "items": items, "description": description}


def _json_type(column: Column) -> str | list[str]:
    return [_TYPES[column.type], "null"] if column.nullable else _TYPES[column.type]


_TABLE = members(
    "pandas: frame.to_dict(orient='split').",
    {"data": array(array({}))},
    {"columns": array(text()), "index": array({})},
)
_RECORDS = array({"type": "object"}, "pandas: frame.to_dict(orient='records').")
_INSTANCES = array({}, "Rows as objects, or as lists in the signature's order.")

FORMS: dict[str, Schema] = {
    **by_column(()),
    "Table": _TABLE,
    "DataframeSplit": _form({"dataframe_split": reference("Table")}),
    "DataframeRecords": _form({"dataframe_records": _RECORDS}),
    "Instances": _form({"instances": _INSTANCES}),
}
"""The schemas of all forms, and of what they refer to."""
