from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.fake_workspace import FakeWorkspace


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A real IPython shell with the extension loaded, in front of a façade that only remembers."""
    config = Config()
    config.HistoryManager.enabled = False
    hook = sys.displayhook
    shell = InteractiveShell(config=config)
    _through(monkeypatch, FakeWorkspace)
    shell.extension_manager.load_extension("mlprod_nb")
    FakeWorkspace.callers.clear()
    yield shell
    sys.displayhook = hook


def _through(monkeypatch: pytest.MonkeyPatch, facade: type[FakeWorkspace]) -> None:
    from mlprod_nb import commands

    run = commands.run

    def with_fake(words: Any, door: commands.Door) -> Any:
        from dataclasses import replace

        return run(words, replace(door, facade=facade))

    monkeypatch.setattr(commands, "run", with_fake)
