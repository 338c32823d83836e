"""Values as a reader wants them: numbers, shares, lists, files."""

from __future__ import annotations

import contextlib
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlprod_nb.clock import iso


def counted(number: int, thing: str) -> str:
    """Return a number with what it counts, in the plural where it is not one: ``"2 files"``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def percent(share: float, places: int = 1) -> str:
    """Return a share in percent, as SI writes it: with a space."""
    return f"{100 * share:z.{places}f} %"


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it, as ``"3 h"`` or ``"2.1 days"``."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= (2 * size if unit == "days" else size):
            number = f"{seconds / size:,.0f}" if seconds >= 100 * size else f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{seconds:.2g} s"


def format_value(value: Any) -> str:
    """Return one value as a reader wants it: numbers to four significant digits, lists (not sentences) with commas.

    A moment is written as it is in JSON, and as ``--since`` and ``--to`` take it.
    """
    if value is None:
        return "–"
    if isinstance(value, Path):
        return shown_path(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return iso(value)
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


def format_interval(lower: float, upper: float, *, digits: int = 3, signed: bool = False, to: str = "to") -> str:
    """Return an interval in words, both bounds to the same decimals: ``0.715 to 0.730``.

    Args:
        lower: The lower bound.
        upper: The upper one.
        digits: Significant digits of a bound.
        signed: Whether a bound that is positive gets a sign, as of a difference.
        to: What stands between the bounds.
    """
    return format_pair(lower, to, upper, digits=digits, signed=signed)


def format_pair(first: float, word: str, second: float, *, digits: int = 3, signed: bool = False) -> str:
    """Return two numbers that are read beside each other, both to the same decimals: ``0.715 against 0.730``.

    Args:
        first: The first.
        word: What stands between them.
        second: The second.
        digits: Significant digits of a number; the zeros that make its decimals those of the other are no more.
        signed: Whether a number that is positive gets a sign.
    """
    sign = "+" if signed else ""
    both = [(number, f"{number:{sign}.{digits}g}") for number in (first, second)]
    places = max(len(text.partition(".")[2]) for _, text in both)
    if all(text.lstrip("+-").replace(".", "").isdigit() for _, text in both):
        one, other = (f"{number:{sign}.{_decimals(text, places, digits)}f}" for number, text in both)
    else:  # powers of ten, infinities, missing ones
        one, other = (text for _, text in both)
    return f"{one} {word} {other}"


def _decimals(text: str, places: int, digits: int) -> int:
    """Return how many decimals a number gets: as many as the other has, while its significant digits allow them."""
    whole, _, decimals = text.lstrip("+-").partition(".")
    if whole != "0":
        return max(min(places, digits - len(whole)), len(decimals))
    return places if not decimals else min(places, digits + len(decimals) - len(decimals.lstrip("0")))


def shown_path(path: Path) -> str:
    """Return a file as the user would name it: from the current directory where it lies below."""
    with contextlib.suppress(OSError):  # the current directory may be gone
        here = Path.cwd()
        if path.is_relative_to(here):
            return path.relative_to(here).as_posix()
    return str(path)


def link(path: Path) -> str:
    """Return where a page in the current directory finds a file, as a URL; empty where it finds none.

    A notebook's outputs are such a page, so JupyterLab opens what is linked so. A name cannot pass for a scheme, a
    fragment or a query: the URL begins with a dot, and every other character than a letter, digit or slash is escaped.
    """
    try:
        if not path.exists():
            return ""
        found = quote(Path(os.path.relpath(path)).as_posix())
    except (OSError, ValueError):  # the current directory is gone, or on another drive
        return ""
    return found if found.startswith("../") else f"./{found}"
