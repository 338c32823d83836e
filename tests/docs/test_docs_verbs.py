"""The verbs' pages are what the grammar says now: ``make verbs`` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlprod_nb import commands
from mlprod_nb.commands import reference
from mlprod_nb.commands.verbs import spelled

FOLDER = Path(__file__).parents[2] / "docs" / "verbs"
PAGES = reference.pages()


def test_there_is_a_page_for_every_verb_and_for_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
    assert len(PAGES) == len(commands.verbs()) + 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "run: make verbs"


def test_the_index_leads_to_every_page() -> None:
    assert set(re.findall(r"\]\(([^)]+)\)", PAGES[reference.INDEX])) == set(PAGES) - {reference.INDEX}


def test_a_page_names_every_word_and_example_of_its_verb() -> None:
    for verb in commands.verbs().values():
        page = PAGES[reference.file_name(verb)]
        assert all(f"\n{example}\n" in page and f"\n%{example}\n" in page for example in verb.explanation.examples)
        for parameter in verb.parameters:
            option = parameter.kind is parameter.KEYWORD_ONLY
            word = spelled(parameter.name) if option else parameter.name.replace("_", " ").upper()
            assert (f"| `--{word}" if option else word) in page
