"""What is too old, or is erased, goes from the prediction log, and verbs say so instead of calling it damage."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from mlprod_nb.settings import FILE_NAME
from mlprod_nb.store import revisions
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


def test_an_erasure_is_counted_asked_for_done_and_kept_in_the_audit_trail(root: Path) -> None:
    write(root / ".mlprod" / "log", encode_predictions(predictions(["a", "b"], unit=["ada", "bob"])))
    workspace = opened(root, START)
    with workspace.context.store.write() as connection:
        revisions.propose(connection, "flights", None, actor="ada", command="", reason="", now=START)
    with pytest.raises(UsageError, match="either --unit or --prediction-ids"):
        workspace.erase("flights", unit="ada", prediction_ids="a")
    with pytest.raises(UsageError, match="needs a --reason"):
        workspace.erase("flights", unit="ada")
    with pytest.raises(Refused):
        workspace.erase("flights", unit="ada", reason="asked")
    done = workspace.erase("flights", unit="ada", reason="asked", yes=True)
    assert str(done).startswith("1 prediction of 'flights' and 0 pieces of feedback in 1 file are erased.")
    assert workspace.erase("flights", prediction_ids="b", dry_run=True).predictions == 1
    assert workspace.log("flights").table["unit"].to_pylist() == ["bob"]
    (entry,) = [entry for entry in workspace.audit_show().entries if entry.action == "erase"]
    assert entry.subject == "flights"
    key = (root / ".mlprod" / "secrets" / "erasure.key").read_bytes()
    named = hmac.digest(key, b"ada", "sha256").hex()
    assert entry.detail == f"1 predictions, 0 feedback in 1 files; HMAC-SHA-256 of the unit {named}: asked"
    assert workspace.verify().exit_code == 0
