from __future__ import annotations

import math
import subprocess
import sys
from functools import reduce
from itertools import pairwise
from operator import add as plus
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlprod_nb.columns import arrow_present, arrow_values
from mlprod_nb.monitoring import MonitorInput, counting, levels, run, scoring, stored_counts
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.profile import Profile, build
from tests.monitoring import samples
from tests.monitoring.counted import differences


def counted(profile: Profile, table: pa.Table, version: str = "flights/1") -> WindowCounts:
    return counting.count_predictions(profile, table, scoring.read(profile, table), version)


def awkward(random: np.random.Generator, rows: int) -> samples.Columns:
    columns = samples.traffic(random, rows)
    columns["amount"][random.random(rows) < 0.01] = np.inf
    columns["skewed"][random.random(rows) < 0.01] = 1e4
    columns["gaps"][random.random(rows) < 0.3] = np.nan
    columns["tail"][random.random(rows) < 0.2] = "new"
    return columns


def logged(random: np.random.Generator, rows: int, **more: Any) -> pa.Table:
    columns = awkward(random, rows)
    scores = np.where(random.random(rows) < 0.05, np.nan, random.random(rows))
    ids = pa.array([f"{end:012x}" for end in random.integers(0, 1 << 48, rows).tolist()], pa.string())
    return samples.window(columns, scores, None, **more).append_column("prediction_id", ids)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return samples.reference_profile(np.random.default_rng(0), 3000)[0]


@pytest.mark.parametrize("seed", range(12))
def test_however_rows_are_divided_their_counts_add_up_to_the_same_bits(
    profile: Profile, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "MAX_ROWS", 100)  # so that few rows are many
    random = np.random.default_rng(seed)
    table = pa.concat_tables([logged(random, int(random.integers(0, 400)), version=v) for v in (1, 2, 1)])
    whole = counted(profile, table)
    cuts = [0, *sorted(random.integers(0, table.num_rows + 1, int(random.integers(1, 9))).tolist()), table.num_rows]
    parts = [counted(profile, table[a:b]) for a, b in pairwise(cuts)]
    random.shuffle(parts)  # type: ignore[arg-type]
    kept = [stored_counts.decode(stored_counts.encode(part)) for part in parts]
    assert differences(counting.add(profile, kept), whole) == []


def test_a_column_longer_than_a_block_is_counted_as_its_parts_are(profile: Profile) -> None:
    random = np.random.default_rng(1)
    values = np.where(random.random(200_001) < 0.1, np.nan, random.normal(3, 2, 200_001))
    whole = counting.count(profile, {"amount": values}).columns["amount"]
    parts = [counting.count(profile, {"amount": values[i : i + 777]}).columns["amount"] for i in range(0, 200_001, 777)]
    together = reduce(plus, parts)
    assert repr(whole.total) == repr(together.total)
    assert repr(whole.squares) == repr(together.squares)
    finite = values[~np.isnan(values)] - (profile.columns[0].mean or 0)
    assert whole.total == pytest.approx(math.fsum(finite), rel=1e-9)
    assert whole.squares == pytest.approx(math.fsum(finite**2), rel=1e-9)
    assert np.array_equal(whole.counts, together.counts)
    assert (whole.rows, whole.missing) == (200_001, int(np.isnan(values).sum()))


def test_a_column_that_one_version_did_not_take_is_missing_in_its_rows(profile: Profile) -> None:
    random = np.random.default_rng(2)
    first, second = logged(random, 300), logged(random, 200, version=2)
    names = [field.name for field in second.schema.field("inputs").type if field.name != "amount"]
    struct = second["inputs"].combine_chunks()
    fewer = pa.StructArray.from_arrays([struct.field(name) for name in names], names=names)
    nulls = [pa.nulls(200, pa.float64()) if name == "amount" else struct.field(name) for name in samples.TRAFFIC.names]
    filled = pa.StructArray.from_arrays(nulls, names=list(samples.TRAFFIC.names))
    at = second.column_names.index("inputs")
    parts = [counted(profile, first), counted(profile, second.set_column(at, "inputs", fewer))]
    together = pa.concat_tables([first, second.set_column(at, "inputs", filled)])
    assert differences(counting.add(profile, parts), counted(profile, together)) == []
    assert counting.add(profile, parts[1:]).columns["amount"].problem == counting.GONE


def test_a_column_that_cannot_be_counted_in_one_part_is_not_counted_at_all(profile: Profile) -> None:
    good = counting.count(profile, {"amount": [1.0, 2.0]})
    bad = counting.count(profile, {"amount": ["one"]})
    added = counting.add(profile, [good, bad]).columns["amount"]
    assert "'one'" in added.problem
    assert added.rows == 3
    assert not added.counts.any()


def test_no_rows_are_counted_as_an_empty_window(profile: Profile) -> None:
    assert differences(counting.add(profile, []), counting.count(profile, {})) == []


def test_torn_bytes_are_no_counts(profile: Profile) -> None:
    content = stored_counts.encode(counting.count(profile, {"amount": [1.0]}))
    for torn in (b"", content[:40], content[:-1], b"\0" + content):
        with pytest.raises(ValueError, match=r".+"):
            stored_counts.decode(torn)


def test_equal_counts_are_equal_bytes(profile: Profile) -> None:
    table = logged(np.random.default_rng(3), 500)
    assert stored_counts.encode(counted(profile, table)) == stored_counts.encode(counted(profile, table))


def test_a_look_at_counts_says_what_a_look_at_rows_says() -> None:
    random = np.random.default_rng(4)
    profile, _ = samples.reference_profile(random, 4000)
    columns = samples.traffic(random, 2000)
    columns["amount"] = columns["amount"] + 0.5
    scores = samples.score_of(columns)
    table = samples.window(columns, scores, samples.labels_of(random, scores))
    by_rows = run(MonitorInput("flights", profile, table, model_version="flights/1"))
    bare = table.drop_columns(["label", "label_number"])
    kept = stored_counts.decode(stored_counts.encode(counted(profile, bare)))
    narrow = table.drop_columns(["inputs"])
    by_counts = run(MonitorInput("flights", profile, narrow, model_version="flights/1", counts=kept))
    assert by_counts.to_dict() == by_rows.to_dict()
    assert any(row.column == "__label__" for row in by_counts.outcomes)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1.5, None, 3.0]),
        pa.array([1, None, 3], pa.int32()),
        pa.array([True, None, False, True] * 5),
        pa.array([None, None], pa.float32()),
        pa.array([], pa.float64()),
    ],
)
def test_arrow_values_are_those_of_pyarrow_in_every_slice(array: pa.Array) -> None:
    for first in range(len(array) + 1):
        part = array[first:]
        present = arrow_present(part)
        assert present.tolist() == part.is_valid().to_pylist()
        assert arrow_values(part)[present].tolist() == part.drop_null().to_pylist()


def test_from_parquet_to_a_verdict_takes_no_pandas(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    profile, reference = samples.reference_profile(random, 2000)
    columns = samples.traffic(random, 3000)
    columns["amount"] = columns["amount"] + 1
    sample = {name: pa.array(values, from_pandas=True) for name, values in reference.items()}
    pq.write_table(pa.table(sample), tmp_path / "reference.parquet")
    (tmp_path / "profile.json").write_bytes(profile.to_json())
    pq.write_table(samples.window(columns, samples.score_of(columns), None), tmp_path / "window.parquet")
    program = (
        "import sys, pathlib, pyarrow.parquet as pq\n"
        "from datetime import UTC, datetime\n"
        "from mlprod_nb.monitoring import MonitorInput, Profile, run\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "profile = Profile.from_json((folder / 'profile.json').read_bytes())\n"
        "window = pq.ParquetFile(folder / 'window.parquet').read()\n"
        "sides = {'reference': folder / 'reference.parquet', 'until': datetime(2030, 1, 1, tzinfo=UTC)}\n"
        "result = run(MonitorInput('flights', profile, window, model_version='flights/1', **sides))\n"
        "print(result.verdict.status, sorted({'pandas', 'matplotlib', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "alarm []\n"


def test_columns_of_dictionaries_count_as_texts_do() -> None:
    texts = np.array(["a", "b", "c", None], dtype=object)[np.random.default_rng(6).integers(0, 4, 500)]
    profile = build({"g": texts}, samples.signature(g="string"), scores=np.zeros(500), labels=None, task="regression")
    plain = pa.array(texts, pa.string())
    coded = pa.chunked_array([plain[:100].dictionary_encode(), plain[100:].dictionary_encode()])
    assert differences(counting.count(profile, {"g": coded}), counting.count(profile, {"g": plain})) == []
