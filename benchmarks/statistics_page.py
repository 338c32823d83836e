"""Pages of results: one section for each measurement, written anew by the module that took it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parent / "STATISTICS.md"
_HEAD = "# Statistics\n\nWritten by `make bench-stats`. Bounds are Clopper and Pearson's, 95 %, two-sided.\n"


def write_section(title: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Replace a section, or add it at the end."""
    text = page.read_text(encoding="utf-8") if page.exists() else _HEAD
    section = f"\n## {title}\n\n" + "\n".join(lines).strip() + "\n"
    pattern = re.compile(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    found = pattern.search(text)
    text = text[: found.start()] + section + text[found.end() :] if found else text + section
    page.write_text(text, encoding="utf-8")


def write_head(text: str, page: Path) -> None:
    """Replace what stands before a page's sections."""
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    first = before.find("\n## ")
    page.write_text(text + (before[first:] if first >= 0 else ""), encoding="utf-8")


def bounds(found: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share (1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    lower = float(beta.ppf(tail, found, of - found + 1)) if found else 0.0
    upper = float(beta.ppf(1 - tail, found + 1, of - found)) if found < of else 1.0
    return lower, upper


def share(found: int, of: int) -> str:
    """Return a share with its bounds, in words."""
    lower, upper = bounds(found, of)
    return f"{100 * found / of:.1f} % ({100 * lower:.1f} to {100 * upper:.1f}, {found} of {of})"


def at_most(found: int, of: int, most: float) -> str:
    """Return what so many of so many say of a share that should be at most so large."""
    lower, upper = bounds(found, of)
    if lower > most:
        return "missed"
    return "kept" if upper <= most else "not contradicted"
