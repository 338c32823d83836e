"""Packages that bring extensions, as an installer would put them."""

from __future__ import annotations

from pathlib import Path


def install(folder: Path, entry_points: str, module: str) -> None:
    """Put a package where Python looks for packages, as an installer would."""
    (folder / "their_checks.py").write_text(module, encoding="utf-8")
    info = folder / "their_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-checks\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
