"""The page on settings says what the tables of ``mlprod.toml`` say now: ``make verbs`` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.settings.base import Table
from mlprod_nb.settings.reference import keys, page, tables

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make verbs"


@pytest.mark.parametrize(("name", "table"), list(tables()))
def test_every_key_of_every_table_is_explained(name: str, table: type[Table]) -> None:
    assert [key for key, held in keys(table).items() if not held.rule.about] == []
    assert name == "" or f"## [{name}]" in page()
    assert all(f"| `{key}` |" in page() for key in keys(table))


def test_tables_within_tables_are_found() -> None:
    assert {"endpoints.NAME.monitor", "models.NAME.protected.ALIAS"} < {name for name, _ in tables()}
