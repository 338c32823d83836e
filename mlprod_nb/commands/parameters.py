"""The kinds of values a command line holds, and ``$name``: the notebook's object of that name, and nothing else.

A word is looked up only where all of it is ``$`` and an identifier. Nothing is evaluated:
``{expression}``, ``$a.b`` and ``$(…)`` are plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlprod_nb.commands.door import Door
from mlprod_nb.errors import NotFound, UsageError

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # older releases of click know no such brackets
    ParamType = click.ParamType

VARIABLE = re.compile(r"\$([^\W\d]\w*)")
_MLFLOW_SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/", "s3://", "gs://")


class Text(ParamType):
    """Text, a number or a moment; ``$name`` passes one that the notebook holds."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, or what the variable holds as text."""
        found = _look_up(value, ctx)
        if found is value:
            return str(value)
        found = found.item() if hasattr(found, "item") and getattr(found, "shape", None) == () else found
        if isinstance(found, date):
            return found.isoformat()
        if isinstance(found, str | int | float):
            return str(found)
        raise UsageError(f"{spelling(param)} takes text, and {value} is a {type(found).__name__}.")


class Whole(Text):
    """A whole number."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        return _number(int, "a whole number", super().convert(value, param, ctx), param)


class Number(Text):
    """A number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        return _number(float, "a number", super().convert(value, param, ctx), param)


class Object(ParamType):
    """An object of the notebook, or what names one in a shell.

    Args:
        read: Turns a word that is not a variable into the object; words go through as they are where ``None``.
    """

    name = "object"

    def __init__(self, read: Callable[[str], Any] | None = None) -> None:
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the object."""
        found = _look_up(value, ctx)
        if found is not value:
            return found
        if isinstance(value, str) and VARIABLE.fullmatch(value):
            raise UsageError(
                f"{spelling(param)}: {value} is a notebook's variable, and there is no notebook here.",
                hint="Name a file.",
            )
        if isinstance(value, str) and value.startswith("$"):
            raise UsageError(
                f"{spelling(param)}: {value} is not a variable's name; only $name passes an object.",
                hint="Assign what you mean to a variable first.",
            )
        _refuse_a_bare_name(value, param, ctx)
        return self._read(value) if self._read and isinstance(value, str) else value


def read_model(word: str) -> Any:
    """Load a model from an MLflow URI or a joblib file.

    Only load files that you trust: both may run code while loading.

    Raises:
        NotFound: There is no such file.
        UsageError: It cannot be loaded.
    """
    if word.startswith(_MLFLOW_SCHEMES):
        import mlflow.sklearn

        load: Callable[[str], Any] = mlflow.sklearn.load_model
    else:
        import joblib

        load = joblib.load
        if not Path(word).is_file():
            raise NotFound("model file", word, hint="In a notebook pass the object: --model $name")
    try:
        return load(word)
    except Exception as error:  # unpickling raises anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"--model: {word} cannot be loaded: {reason}") from error


def read_column(word: str) -> Any:
    """Read one column from ``FILE.csv`` or ``FILE.parquet``, or of several by ``FILE.csv:COLUMN``.

    Raises:
        NotFound: There is no such file or column.
        UsageError: The file has several columns and none is named.
    """
    from mlprod_nb.lifecycle import data

    file, _, name = (word, "", "") if Path(word).is_file() else word.rpartition(":") if ":" in word else (word, "", "")
    frame = data.frame(file)
    columns = [str(column) for column in frame.columns]
    if not name and len(columns) > 1:
        raise UsageError(f"{file} has {len(columns)} columns.", hint=f"Say which: {file}:{columns[0]}")
    if name and name not in columns:
        raise NotFound(f"column in {file}", name, columns)
    return frame[name or columns[0]].tolist()


def spelling(param: click.Parameter | None) -> str:
    """Return a parameter as it is typed: ``--reason``, ``VERSION``."""
    if param is None:
        return "the value"
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return (param.name or "").replace("_", " ").upper()


def _look_up(value: Any, ctx: click.Context | None) -> Any:
    """Return the notebook's object for ``$name``, or the very value for anything else."""
    door = ctx.find_object(Door) if ctx else None
    match = VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if match is None or door is None or door.names is None:
        return value
    if match[1] not in door.names:
        known = [f"${name}" for name in door.names if not name.startswith("_")]
        raise NotFound("variable", value, known, hint="Run the cell that makes it first.")
    return door.names[match[1]]


def _refuse_a_bare_name(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> None:
    """Answer ``name`` by ``$name`` where the notebook holds it and no file is called so."""
    door = ctx.find_object(Door) if ctx else None
    if not isinstance(value, str) or door is None or door.names is None or value.startswith("_"):
        return
    if value in door.names and not Path(value).exists():
        raise UsageError(
            f"{spelling(param)}: there is no file {value!r}.",
            hint=f"Did you mean the notebook's variable '${value}'?",
        )


def _number(kind: type[int] | type[float], what: str, text: str, param: click.Parameter | None) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{spelling(param)} takes {what}, and {text!r} is not one.") from None
