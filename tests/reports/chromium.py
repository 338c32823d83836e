"""Pages opened in a real Chromium: what they ask for, and what axe-core finds wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import jupyterlab


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with jupyterlab.browser() as opened:
        yield opened


def opened(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str]]:
    """Open a file and return the page and every address that it asked for."""
    tab = browser.new_context(offline=True, **options).new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    tab.goto(file.as_uri())
    tab.wait_for_load_state("load")
    return tab, [url for url in asked if url != file.as_uri() and not url.startswith("data:image/")]


def violations(tab: Any) -> list[str]:
    """Return what axe-core finds wrong with an open page."""
    from axe_playwright_python.sync_playwright import Axe

    return [f"{found['id']}: {found['nodes'][0]['html']}" for found in Axe().run(tab).response["violations"]]
