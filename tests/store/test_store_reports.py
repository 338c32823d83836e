"""Reports in the index are found by digest, and approved as long as they are what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlprod_nb.errors import Corrupt, NotFound, Refused, UsageError
from mlprod_nb.store import Store, approvals, evidence, report_index, tables
from mlprod_nb.store.report_index import ReportRecord
from tests.store.report_files import BODY, NOW, changed, written


def test_reports_are_listed_newest_first_by_endpoint_and_kind(store: Store) -> None:
    with store.write() as connection:
        rows = ("a1", "flights", "drift", 1), ("b2", "flights", "abtest", 3), ("c3", "boats", "drift", 2)
        for digest, endpoint, kind, hour in rows:
            at = NOW.replace(hour=hour)
            report_index.add(connection, ReportRecord(digest * 32, kind, endpoint, "ok", "fine.", digest, {}, at))
    with store.read() as connection:
        assert [r.path for r in report_index.list_reports(connection)] == ["b2", "c3", "a1"]
        assert [r.path for r in report_index.list_reports(connection, endpoint="flights")] == ["b2", "a1"]
        assert [r.kind for r in report_index.list_reports(connection, kind="abtest")] == ["abtest"]
        assert len(report_index.list_reports(connection, limit=1)) == 1


def test_a_report_is_found_by_the_beginning_of_its_digest(store: Store) -> None:
    with store.write() as connection:
        for digest in ("aaaa1" + "0" * 59, "aaaa2" + "0" * 59, "bbbb" + "0" * 60):
            report_index.add(connection, ReportRecord(digest, "drift", "flights", "ok", "fine.", digest[:5], {}, NOW))
    with store.read() as connection:
        assert report_index.find(connection, "BBBB").path == "bbbb0"
        with pytest.raises(UsageError, match="several reports begin with 'aaaa'"):
            report_index.find(connection, "aaaa")
        for short in ("", "aaa", "  "):
            with pytest.raises(UsageError, match="too short"):
                report_index.find(connection, short)
        for unknown in ("cccc", "%%%%", "____", "aaa_"):
            with pytest.raises(NotFound, match="there is no report"):
                report_index.find(connection, unknown)


def approve(store: Store, root: Path, digest: str, actor: str = "ann", reason: str = "read it") -> approvals.Approval:
    with store.write() as connection:
        return approvals.approve(connection, root, digest, actor=actor, reason=reason, now=NOW)


def test_an_approval_says_who_when_and_why_and_is_given_once(store: Store, tmp_path: Path) -> None:
    record = written(tmp_path)
    with store.write() as connection:
        report_index.add(connection, record)
    given = approve(store, tmp_path, record.digest[:8], reason=" seasonal ")
    assert given == approvals.Approval(record.digest, "ann", "seasonal", NOW)
    approve(store, tmp_path, record.digest, "bob")
    with pytest.raises(Refused, match=f"ann approved report {record.digest[:12]} before"):
        approve(store, tmp_path, record.digest)
    with pytest.raises(UsageError, match="needs a reason"):
        approve(store, tmp_path, record.digest, "cat", "  ")
    with pytest.raises(NotFound):
        approve(store, tmp_path, "0" * 12, "cat")
    with store.read() as connection:
        assert [approval.actor for approval in approvals.approvals_of(connection, record.digest)] == ["ann", "bob"]
        assert report_index.find(connection, record.digest).approvals == 2
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.approvals)) == 2


def test_a_report_that_is_run_again_keeps_its_approvals_and_points_to_the_newer_files(
    store: Store, tmp_path: Path
) -> None:
    record = written(tmp_path)
    with store.write() as connection:
        report_index.add(connection, record)
    approve(store, tmp_path, record.digest)
    newer = replace(written(tmp_path, name="reports/flights/drift/two"), created_at=NOW.replace(hour=9))
    with store.write() as connection:
        report_index.add(connection, newer)
        found = report_index.find(connection, record.digest)
    assert (found.path, found.approvals, found.created_at.hour) == (newer.path, 1, 9)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("verdict", "status"), "ok"),
        (("verdict", "sentence"), "nothing drifted."),
        (("verdict", "action"), "%mlprod promote flights/3"),
        (("bound_to", "model_versions"), ["flights/4"]),
        (("bound_to", "bundles"), {"flights/3": "ba" * 32}),
        (("bound_to", "log_range", "rows"), 4),
        (("bound_to", "log_range", "digest"), "dc" * 32),
        (("bound_to", "parameters", "joint"), False),
        (("bound_to", "settings", "yearly_alpha"), 0.5),
        (("bound_to", "notebook_sha256"), "fe" * 32),
        (("bound_to", "packages", "numpy"), "2.0.1"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_whatever_a_report_is_bound_to_gives_another_digest_which_nobody_approved(
    store: Store, tmp_path: Path, path: tuple[str, ...], to: Any
) -> None:
    record, other = written(tmp_path), written(tmp_path, changed(BODY, *path, to=to), "reports/flights/drift/two")
    with store.write() as connection:
        report_index.add(connection, record)
        report_index.add(connection, other)
    approve(store, tmp_path, record.digest)
    with store.read() as connection:
        assert report_index.find(connection, other.digest).approvals == 0


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("index.html", "index.html was changed after it was written"),
        ("report.ipynb", "report.ipynb was changed after it was written"),
        ("verdict.json", "does not match its digest"),
    ],
)
def test_a_report_whose_file_was_changed_or_removed_cannot_be_approved(
    store: Store, tmp_path: Path, file: str, message: str
) -> None:
    record = written(tmp_path)
    with store.write() as connection:
        report_index.add(connection, record)
    path = tmp_path / record.path / file
    path.write_text(path.read_text(encoding="utf-8").replace("three columns", "no column").replace("[]", "[1]"))
    with pytest.raises(Corrupt, match=message):
        approve(store, tmp_path, record.digest)
    path.unlink()
    with pytest.raises(NotFound, match=file):
        approve(store, tmp_path, record.digest)
    assert not _approved(store)


def test_a_verdict_that_was_written_anew_with_a_digest_of_its_own_is_another_reports(
    store: Store, tmp_path: Path
) -> None:
    record = written(tmp_path)
    with store.write() as connection:
        report_index.add(connection, record)
    evidence.write(tmp_path / record.path, changed(BODY, "verdict", "status", to="ok"))
    evidence.verify(tmp_path / record.path)  # whole in itself
    with pytest.raises(Corrupt, match=f"is another report's, not {record.digest[:12]}'s"):
        approve(store, tmp_path, record.digest)
    assert not _approved(store)


def _approved(store: Store) -> int:
    with store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.approvals)) or 0
