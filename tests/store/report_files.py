"""A report's three files, and what the index says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlprod_nb.store import evidence
from mlprod_nb.store.report_index import ReportRecord

NOW = datetime(2013, 5, 1, 6, tzinfo=UTC)
BODY: dict[str, Any] = {
    "verdict": {"status": "alarm", "sentence": "three columns drifted.", "action": ""},
    "kind": "drift",
    "endpoint": "flights",
    "bound_to": {
        "model_versions": ["flights/3"],
        "bundles": {"flights/3": "ab" * 32},
        "log_range": {"rows": 3, "digest": "cd" * 32},
        "parameters": {"joint": True},
        "settings": {"yearly_alpha": 0.05},
        "notebook_sha256": "ef" * 32,
        "packages": {"numpy": "2.0.0"},
    },
}


def written(root: Path, body: dict[str, Any] = BODY, name: str = "reports/flights/drift/one") -> ReportRecord:
    """Write a report's three files, and return what the index says of them."""
    folder = root / name
    folder.mkdir(parents=True)
    evidence.write(folder, body)
    (folder / "index.html").write_text("<p>three columns drifted.</p>", encoding="utf-8")
    (folder / "report.ipynb").write_text('{"cells": []}', encoding="utf-8")
    digest, said = evidence.digest(body), body["verdict"]
    facts = (digest, body["kind"], body["endpoint"], said["status"], said["sentence"], name, body["bound_to"], NOW)
    return ReportRecord(*facts, files=evidence.seal(folder))


def changed(body: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    first, *rest = path
    return body | {first: changed(body[first], *rest, to=to) if rest else to}
