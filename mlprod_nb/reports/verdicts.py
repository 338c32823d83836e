"""The one verdict of an executed notebook."""

from __future__ import annotations

from typing import Any

from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.results import VERDICT_MIME, Cause, Verdict

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
        raise VerdictProblem("it shows none; end the notebook in one, as monitor.verdict")
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
