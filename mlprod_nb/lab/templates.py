"""The notebooks that the launcher makes: shipped ones, copied as the user's own files."""

from __future__ import annotations

import json
from typing import Any

from mlprod_nb import assets
from mlprod_nb.errors import NotFound

#: What the launcher offers, and the shipped notebook it begins as.
TEMPLATES = {"report": "drift_report.ipynb", "train": "quickstart.ipynb", "retrain": "retrain.ipynb"}


def read(template: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the content of the notebook that a template begins as.

    Raises:
        NotFound: There is no such template.
    """
    if template not in TEMPLATES:
        raise NotFound("template", template, TEMPLATES)
    content: dict[str, Any] = json.loads(assets.path("notebooks", TEMPLATES[template]).read_text(encoding="utf-8"))
    return f"{template}.ipynb", content
