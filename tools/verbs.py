"""Write the pages of docs/verbs anew, and take away those of verbs that are gone."""

from __future__ import annotations

import sys
from pathlib import Path

from mlprod_nb.commands import reference

FOLDER = Path(__file__).parent.parent / "docs" / "verbs"


def main() -> int:
    """Write the pages; return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    pages = reference.pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(pages) - 1} verbs in {FOLDER.relative_to(FOLDER.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
