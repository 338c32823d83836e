"""Write anew the pages that are made from code: docs/verbs, one a verb, and docs/settings.md."""

from __future__ import annotations

import sys
from pathlib import Path

from mlprod_nb.commands import reference
from mlprod_nb.settings.reference import page

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "verbs"


def main() -> int:
    """Write the pages, and take away those of verbs that are gone; return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    pages = reference.pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    (DOCS / "settings.md").write_text(page(), encoding="utf-8")
    print(f"{len(pages) - 1} verbs in {FOLDER.relative_to(DOCS.parent)}, and the settings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
