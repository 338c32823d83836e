"""Pages opened in a real Chromium: what they ask for, and what axe-core finds wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


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
