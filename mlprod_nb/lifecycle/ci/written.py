"""A file that a verb writes for the user, who may change it: one that is there is kept, unless it is forced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Section


@dataclass(frozen=True)
class WrittenFile(Result):
    """A file is written, or would be, or is there already.

    Attributes:
        file: The file, relative to the directory it is for.
        kept: Whether the file was there and stays as it is.
        dry_run: Whether nothing was changed.
        text: What is in it, or would be.
    """

    file: str
    kept: bool
    dry_run: bool
    text: str
    _hidden: ClassVar[tuple[str, ...]] = ("file", "kept", "dry_run", "text")

    def headline(self) -> str:
        """Say what became of the file."""
        if self.kept:
            return f"{self.file} is there and stays as it is; --force writes it anew."
        return f"{self.file} {'would be written (dry run, nothing changed)' if self.dry_run else 'is written'}."

    def sections(self) -> list[Section]:
        """Show the file where it is not written."""
        shown = [Section(self.file, ("line",), tuple((line,) for line in self.text.splitlines()))]
        return [*super().sections(), *(shown if self.dry_run and not self.kept else [])]


def write_or_keep(context: Context, path: Path, text: str, *, force: bool, dry_run: bool) -> bool:
    """Write a file, and tell whether one was there and is kept."""
    kept = path.exists() and not force
    if not kept and not dry_run:
        context.change()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return kept
