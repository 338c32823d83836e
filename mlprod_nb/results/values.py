"""Values as a reader wants them: numbers, shares, lists, files."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any


def counted(number: int, thing: str) -> str:
    """Return a number with what it counts, in the plural where it is not one: ``"2 files"``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def percent(share: float, places: int = 1) -> str:
    """Return a share in percent, as SI writes it: with a space."""
    return f"{100 * share:.{places}f} %"


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it, as ``"3 h"`` or ``"2.1 days"``."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= (2 * size if unit == "days" else size):
            number = f"{seconds / size:,.0f}" if seconds >= 100 * size else f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{seconds:.2g} s"


def format_value(value: Any) -> str:
    """Return one value as a reader wants it: numbers to four significant digits, lists (not sentences) with commas."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10000 else str(value)
    if isinstance(value, list | tuple):
        sentences = all(isinstance(item, str) and item.endswith(".") for item in value)
        return (" " if sentences else ", ").join(format_value(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_value(item)}" for key, item in value.items())
    return str(value)


def shown_path(path: Path) -> str:
    """Return a file as the user would name it: from the current directory where it lies below."""
    with contextlib.suppress(OSError):  # the current directory may be gone
        here = Path.cwd()
        if path.is_relative_to(here):
            return path.relative_to(here).as_posix()
    return str(path)
