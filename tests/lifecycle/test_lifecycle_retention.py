"""What is older than ``[log] keep_days`` goes with a compaction, and verbs say so instead of calling it damage."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from mlprod_nb.settings import FILE_NAME
from tests.prediction_log.batches import START, feedback, predictions, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / FILE_NAME).write_text("[log]\nkeep_days = 30\n", encoding="utf-8")
    (tmp_path / ".mlprod").mkdir()
    return tmp_path


def opened(root: Path, moment: datetime) -> Workspace:
    return Workspace(root, clock=lambda: moment)


def test_a_compaction_says_what_it_removed_and_verify_finds_no_damage(root: Path) -> None:
    log = root / ".mlprod" / "log"
    write(log, encode_predictions(predictions(["a", "b"])), encode_feedback(feedback(["a"])))
    kept = opened(root, START).compact()
    assert (kept.removed_rows, kept.removed_files) == (0, 0)
    done = opened(root, START + timedelta(days=31)).compact()
    assert (done.removed_rows, done.removed_files, done.exit_code) == (3, 2, 0)
    assert done.verdict.sentence.endswith("3 rows in 2 files were removed, as [log] keep_days = 30 says.")
    assert opened(root, START).verify().exit_code == 0
