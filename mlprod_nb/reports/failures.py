"""What a report that failed says first, what to do about it, and the line that runs it again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from mlprod_nb import errors
from mlprod_nb.reports import markup

_NEXT = {
    "error": "Open report.ipynb beside this page in JupyterLab and run it up to the marked cell.",
    "timeout": "Raise [reports] timeout_seconds in mlprod.toml, or narrow the window, and run the report again.",
    "output": "Print less in the marked cell and run the report again.",
    "memory": "Raise [reports] memory_mib in mlprod.toml, or narrow the window, and run the report again.",
    "died": "The kernel was mostly out of memory, by what it held or what it printed, or a library crashed. "
    "Narrow the window, print less, and run the report again.",
    "start": "Check that ipykernel is installed where mlprod is, and run the report again.",
    "scratch": "Make room in the temporary folder, or name another by TMPDIR, and run the report again.",
    "disk": "Make room on the disk of the workspace, and run the report again. What the cells had shown is lost.",
    "verdict": "End the notebook in one cell that shows a verdict, such as monitor.verdict, and run the report again.",
}


def described(failure: dict[str, Any]) -> dict[str, Any]:
    """Add to a failure the sentence that the page opens with."""
    where = f"Cell {failure['cell'] + 1}" if failure["cell"] is not None else "The notebook"
    what = ": ".join(part for part in (failure["error"], failure["message"]) if part)
    sentence = {
        "error": f"{where} raised {what}",
        "timeout": f"{where} was stopped: {what}",
        "output": f"{where} was stopped: {what}",
        "memory": f"{where} ran out of memory: {what}",
        "died": f"{where} ended because its kernel died",
        "start": f"No kernel could be started: {what}",
        "scratch": f"The notebook could not be kept whole: {what}",
        "disk": f"The report could not be written: {what}",
        "verdict": f"The report came to no verdict: {what}",
    }[failure["reason"]]
    return failure | {"sentence": markup.without_colours(sentence)}


def in_a_line(reason: str, error: str, message: str) -> str:
    """Return what a shell is told of a failure."""
    what = ": ".join(part for part in (error, *message.splitlines()[:1]) if part)
    if reason == "verdict":
        return f"no verdict: {what}"
    return what or {"died": "its kernel died", "memory": "it ran out of memory"}.get(reason, reason)


def next_step(failure: dict[str, Any] | None) -> str:
    """Say what to do about a failure; an error of ours says it itself."""
    if failure is None:
        return ""
    ours = getattr(errors, failure["error"], None) if failure["reason"] == "error" else None
    if isinstance(ours, type) and issubclass(ours, errors.MlprodError):
        return "Do what the line above advises, and run the report again."
    return _NEXT.get(failure["reason"], "")


def again(report: dict[str, Any]) -> str:
    """Return the line that runs a report again, over the same part of the log and with the same parameters."""
    if not report:
        return ""
    bound = report["bound_to"]
    where = bound.get("log_range", {})
    parameters = bound.get("parameters", {})
    given = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in parameters.items()]
    options = {
        "--since": where.get("since"),
        "--until": where.get("until"),
        "--parameters": shlex.join(given),
        "--kernel": bound.get("kernel"),
    }
    words = ["mlprod", "report", report["endpoint"], report["kind"]]
    for name, value in options.items():
        words += [name, str(value)] if value else []
    return shlex.join(words)
