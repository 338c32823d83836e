"""What users pass as data: frames, arrays, files; read at the edge, with one clear line for what cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import counted

if TYPE_CHECKING:
    import pandas as pd

#: A frame's own word, in its ``attrs``, on where its rows came from.
SOURCE = "source"


def frame(data: Any, what: str = "data") -> pd.DataFrame:
    """Return data as a frame: a frame as it is, a file read, an array with columns ``x0``, ``x1``, ….

    Raises:
        UsageError: The data are of a kind that has no columns, or have no rows.
        NotFound: The file does not exist.
    """
    import pandas as pd

    if isinstance(data, str | Path):
        data = _read(Path(data))
    if is_array(data):
        data = pd.DataFrame(data, columns=[f"x{i}" for i in range(data.shape[1])])
    if not isinstance(data, pd.DataFrame):
        raise UsageError(
            f"--{what} is a {type(data).__name__}.",
            hint="Pass a pandas DataFrame, a 2-D array, a CSV or a Parquet file.",
        )
    if data.empty:
        raise UsageError(f"--{what} has no rows.")
    return data


def is_array(data: Any) -> bool:
    """Return whether data are a two-dimensional array, whose columns have no names."""
    import numpy as np

    return isinstance(data, np.ndarray) and data.ndim == 2


def column(value: Any, rows: pd.DataFrame, what: str) -> tuple[Sequence[Any], str]:
    """Return one value a row, and the name of the column it came from (empty where it was passed by itself).

    Raises:
        NotFound: The value is a string and no column has that name.
        UsageError: It is no list, or has another number of rows than the data.
    """
    if isinstance(value, str):
        if value not in rows.columns:
            raise NotFound(f"column for --{what}", value, map(str, rows.columns))
        return rows[value].tolist(), value
    values = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(values, Collection):
        hint = f"Give the name of a column, or a list with {len(rows)} values."
        raise UsageError(
            f"--{what} is one value ({str(value)[:40]}), and --data has {counted(len(rows), 'row')}.", hint=hint
        )
    values = list(values)
    if len(values) != len(rows):
        raise UsageError(
            f"--{what} has {counted(len(values), 'row')} and --data has {len(rows):,}.", hint="They must be as many."
        )
    return values, ""


def moments(values: Sequence[Any]) -> list[str]:
    """Return moments as ISO 8601 text in UTC; those without an offset are read as UTC.

    Raises:
        UsageError: A value is not a moment.
    """
    result = []
    for value in values:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            result.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat())
        except ValueError:
            raise UsageError(f"{value!r} is not a moment.", hint="Write it like 2013-04-01T06:00.") from None
    return result


def event_times(rows: pd.DataFrame) -> Sequence[float] | None:
    """Return when each row's event happened, seconds since 1970: a frame's index, where it is one of moments."""
    import pandas as pd

    index = rows.index
    if not isinstance(index, pd.DatetimeIndex):
        return None
    aware = index.tz_localize(UTC) if index.tz is None else index
    seconds: list[float] = ((aware - pd.Timestamp(0, tz=UTC)) / pd.Timedelta(seconds=1)).tolist()
    return seconds


def one_column(values: Any, what: str) -> list[Any]:
    """Return values that were passed by themselves as plain Python values.

    Raises:
        UsageError: They have several columns.
    """
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.DataFrame) or np.ndim(values) > 1:
        rows = pd.DataFrame(values)
        if rows.shape[1] != 1:
            raise UsageError(f"--{what} has {rows.shape[1]} columns.", hint="Pass one of them.")
        values = rows.iloc[:, 0]
    return plain(values)


def plain(values: Any) -> list[Any]:
    """Return a column of a frame or an array as plain Python values, missing ones as ``None``."""
    import pandas as pd

    series = pd.Series(values)
    missing = series.isna().to_numpy()
    return [None if absent else value for value, absent in zip(series.tolist(), missing, strict=True)]


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise NotFound("file", str(path))
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.name.endswith((".csv", ".csv.gz", ".csv.zip")):
        return pd.read_csv(path)
    raise UsageError(f"{path.name!r} is neither CSV nor Parquet.")
