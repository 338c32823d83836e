from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from mlprod_nb.lifecycle.watching.window_counts import _shared
from mlprod_nb.monitoring.bins import WindowCounts


def rows_of(tables: Iterator[pa.Table]) -> WindowCounts:
    return WindowCounts(sum(table.num_rows for table in tables), {})


def test_threads_that_share_tables_count_each_once() -> None:
    tables = [pa.table({"x": list(range(size))}) for size in range(40)]
    assert sum(found.rows for found in _shared(rows_of, tables)) == sum(range(40))


def test_an_error_of_a_table_ends_the_count() -> None:
    def broken() -> Iterator[pa.Table]:
        yield pa.table({"x": [1]})
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        _shared(rows_of, broken())
