"""The one verdict of an executed notebook, and the evidence file that binds it to its inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mlprod_nb.errors import Corrupt, NotFound
from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.results import VERDICT_MIME, Cause, Verdict

FILE = "verdict.json"
_STATUSES = ("ok", "warn", "alarm")


class VerdictProblem(Exception):
    """A notebook does not hold exactly one verdict.

    Args:
        message: What is wrong, as a clause.
        cell_index: The cell at fault, or ``None`` where there is none.
    """

    def __init__(self, message: str, cell_index: int | None = None) -> None:
        super().__init__(message)
        self.cell_index = cell_index


def read(notebook: Notebook) -> Verdict:
    """Return the verdict of an executed notebook.

    Raises:
        VerdictProblem: It shows none, several, or one that is malformed.
    """
    shown = [
        (index, output["data"][VERDICT_MIME])
        for index, cell in enumerate(notebook["cells"])
        for output in cell.get("outputs", ())
        if VERDICT_MIME in output.get("data", {})
    ]
    if not shown:
        raise VerdictProblem("it shows no verdict; the last cell must be one, as `monitor.verdict`")
    if len(shown) > 1:
        cells = ", ".join(str(index + 1) for index, _ in shown)
        raise VerdictProblem(f"it shows {len(shown)} verdicts (cells {cells}); it must show one", shown[1][0])
    index, data = shown[0]
    try:
        status, sentence, action = data["status"], data["sentence"], data.get("action", "")
    except (KeyError, TypeError, AttributeError):
        raise VerdictProblem("its verdict lacks a status or a sentence", index) from None
    if status not in _STATUSES or not isinstance(sentence, str) or not isinstance(action, str) or not sentence.strip():
        raise VerdictProblem(f"its verdict is malformed: status {status!r}, sentence {sentence!r}", index)
    return Verdict(status, sentence, action, _causes(data, index))


def _causes(data: dict[str, Any], index: int) -> tuple[Cause, ...]:
    try:
        found = tuple(Cause(str(cause["name"]), cause["grade"]) for cause in data.get("causes", ()))
    except (KeyError, TypeError):
        raise VerdictProblem("its verdict's causes lack a name or a grade", index) from None
    if any(cause.grade not in _STATUSES for cause in found):
        raise VerdictProblem(f"its verdict's causes have other grades than {', '.join(_STATUSES)}", index)
    return found


def canonical(body: dict[str, Any]) -> bytes:
    """Return a report's body as the one JSON text that its digest is taken of: sorted keys, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(body: dict[str, Any]) -> str:
    """Return a report's digest: SHA-256 of its canonical JSON, as hexadecimal text."""
    return hashlib.sha256(canonical(body)).hexdigest()


def write(folder: Path, body: dict[str, Any]) -> Path:
    """Write ``verdict.json``: the body and its digest."""
    file = folder / FILE
    content = body | {"digest": digest(body)}
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def verify(folder: Path) -> dict[str, Any]:
    """Read a report's ``verdict.json`` and check it against its digest.

    Raises:
        NotFound: The folder holds none: the report failed, or was removed.
        Corrupt: It was changed after it was written.
    """
    file = folder / FILE
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        stated = content.pop("digest")
    except FileNotFoundError:
        raise NotFound("verdict at", str(file), hint="The report failed or was removed; run it again.") from None
    except (ValueError, KeyError, AttributeError):
        raise Corrupt(f"{file} is not a report's verdict.", hint="Run the report again.") from None
    if digest(content) != stated:
        raise Corrupt(f"{file} does not match its digest {stated[:12]}.", hint="Run the report again.")
    return content | {"digest": stated}
