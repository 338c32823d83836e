"""The process that the supervisor starts: it compacts once, and costs nothing where nothing is to be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.compaction import Compactor
from mlprod_nb.prediction_log.keys import NO_KEYS
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.settings import FILE_NAME, Layout
from mlprod_nb.store import Store
from tests.prediction_log.batches import predictions, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / FILE_NAME).touch()
    layout = Layout(tmp_path)
    layout.state.mkdir()
    return layout


def run(layout: Layout) -> list[dict[str, str]]:
    """Run the process; return what it says."""
    command = [sys.executable, "-m", "mlprod_nb.prediction_log", "--root", str(layout.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_it_compacts_what_is_sealed_and_says_so(layout: Layout) -> None:
    write(layout.log, encode_predictions(predictions(["a", "b"])))
    (line,) = run(layout)
    assert (line["severity"], line["body"]) == ("INFO", "2 rows of 1 segment went into 1 file")
    assert list(layout.log.glob("*.seg")) == []
    store = Store(Store.sqlite_url(layout.database))
    log = PredictionLog(layout.log, Catalogue(store))
    assert log.predictions(log.pin("flights"))["prediction_id"].to_pylist() == ["a", "b"]
    store.close()
    assert run(layout) == []


def test_it_names_damage(layout: Layout) -> None:
    path = write(layout.log, encode_predictions(predictions(["a"])), encode_predictions(predictions(["b"])))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    problem, _ = run(layout)
    assert problem["severity"] == "ERROR"
    assert problem["body"].startswith(f"{path.name} at byte 8: ")


def test_it_removes_what_is_too_old_also_where_nothing_is_sealed(layout: Layout) -> None:
    write(layout.log, encode_predictions(predictions(["a", "b"])))
    store, long_ago = Store(Store.sqlite_url(layout.database)), datetime(2013, 4, 2, tzinfo=UTC)
    store.migrate()
    Compactor(layout.log, Catalogue(store), keys=NO_KEYS, clock=lambda: long_ago).run()
    store.close()
    (file,) = layout.log.rglob("*.parquet")
    os.utime(file, (long_ago.timestamp(), long_ago.timestamp()))
    assert run(layout) == []
    layout.settings_file.write_text("[log]\nkeep_days = 30\n", encoding="utf-8")
    (line,) = run(layout)
    assert (line["severity"], line["body"]) == ("INFO", "2 rows in 1 file were removed, as [log] keep_days = 30 says")
    assert not file.exists()
    assert run(layout) == []


def test_it_loads_nothing_heavy_where_nothing_is_sealed(layout: Layout) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['prediction_log', '--root', {str(layout.root)!r}]\n"
        "from mlprod_nb.prediction_log.__main__ import main\n"
        "assert main() == 0\n"
        "print([name for name in ('pyarrow', 'pandas', 'sqlalchemy', 'duckdb') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
