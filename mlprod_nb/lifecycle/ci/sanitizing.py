"""What differs in two runs of the same notebook, as nbval reads it: so that users can compare their notebooks' outputs.

A result says when, how long ago, by which process and under which id; nothing else in it differs while nothing else
has changed. nbval replaces what these expressions find, in what a notebook keeps and in what it gives now, before it
compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.lifecycle.ci.written import WrittenFile, write_or_keep
from mlprod_nb.lifecycle.context import Context

FILE = "nbval.cfg"
_UNITS = "ms|s|min|h|days?|seconds?|minutes?|hours?"
#: What is found, by what it is: an expression for text, Markdown and HTML alike, and what stands in its place.
PATTERNS: dict[str, tuple[str, str]] = {
    "moments": (
        r'(?:<span class="s">)?\d{4}-\d\d-\d\d(?:</span>)?[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?'
        r"(?:Z|[+-]\d\d:\d\d)?(?:</span>)?(?: UTC)?",
        "MOMENT",
    ),
    "moments in the names of folders": (r"\d{8}T\d{6}Z", "MOMENT"),
    "ages": (rf"\d[\d.,]* (?:{_UNITS}) (?=ago|before now)", "SOME TIME "),
    "times and memory, as measured": (r"\d[\d.,]* (ms|s|MB)\b", r"SOME \1"),
    "seconds, as measured": (r"(\bseconds(?:</th><td>| \| | +))[\d.,]+", r"\1SOME"),
    "ids": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    "digests": (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
    "ports": (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    "processes": (r"(\bpid(?:</th><td>| \| | +))\d+", r"\1PID"),
    "widths of a text's columns": (r" {2,}", " | "),
}
_HEAD = """\
# Written by: mlprod ci nbval. Change it as you like; it is not written again unless you say --force.
# What differs in two runs of the same notebook: python -m pytest --nbval --nbval-sanitize-with=nbval.cfg NOTEBOOK.ipynb
"""


@dataclass(frozen=True)
class SanitizingResult(WrittenFile):
    """What nbval is to take for equal, in the workspace's directory.

    Attributes:
        run: The line that compares a notebook's outputs.
    """

    run: str


def text() -> str:
    """Return the file's content, as nbval's ``--nbval-sanitize-with`` takes it."""
    parts = (f"\n[{name}]\nregex: {regex}\nreplace: {replace}\n" for name, (regex, replace) in PATTERNS.items())
    return _HEAD + "".join(parts)


def write(context: Context, *, force: bool, dry_run: bool) -> SanitizingResult:
    """Write the file into the workspace's directory; one that is there is kept unless it is forced."""
    kept = write_or_keep(context, context.root / FILE, text(), force=force, dry_run=dry_run)
    run = f"python -m pytest --nbval --nbval-sanitize-with={FILE} NOTEBOOK.ipynb"
    return SanitizingResult(FILE, kept, dry_run, text(), run)
