"""Notebooks made of a few cells, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PARAMETERS = 'workspace: str = ""\nendpoint: str = ""\npinned: str = ""'
VERDICT = 'from mlprod_nb.results import Verdict\nVerdict("{status}", "{sentence}", "%mlprod status")'


def code(source: str, *tags: str, outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return a code cell."""
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": outputs or [],
        "execution_count": None,
    }


def text(source: str) -> dict[str, Any]:
    """Return a markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def verdict(status: str = "ok", sentence: str = "nothing moved.") -> dict[str, Any]:
    """Return a cell that shows a verdict."""
    return code(VERDICT.format(status=status, sentence=sentence))


def notebook(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a notebook of these cells."""
    numbered = [{"id": f"cell-{index}", **cell} for index, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}, **metadata}
    return {"cells": numbered, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, *cells: dict[str, Any]) -> Path:
    """Write a notebook of these cells and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(*cells)), encoding="utf-8")
    return path


def html(data: str) -> dict[str, Any]:
    """Return an output that shows HTML."""
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": data, "text/plain": "…"}}
