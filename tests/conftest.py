from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mlprod_nb.store import Store
from tests.browser.jupyterlab import Lab, Pictures, Server, browser, lab_alone
from tests.forks import Forks, waiting

# The same examples in every run, however long each takes; for others: pytest --hypothesis-profile=default.
settings.load_profile("ci")
# Search seldom for garbage: among all that the tests import, that took a third of the time to collect them.
gc.set_threshold(50_000, 20, 100)
# Without this optional package of jsonschema, which parses a grammar for a second when nbformat is imported.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the exhaustive tests out, unless they are asked for, and put first what takes longest.

    Each of several processes takes one module after the other. Those with slow tests come first, then those with most
    tests, so that none is left alone with a long one at the end. ``--no-loadscope-reorder`` keeps this order.
    """
    if "exhaustive" not in config.option.markexpr:
        left_out = {item for item in items if item.get_closest_marker("exhaustive")}
        if left_out:
            config.hook.pytest_deselected(items=list(left_out))
            items[:] = [item for item in items if item not in left_out]
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Never search for garbage in what is there before the first test: it stays."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the end of the process find all of it: DuckDB calls what is left a leak, in many lines."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def nothing_of_mlflows_is_left_in_the_current_directory() -> Iterator[None]:
    """Fail where something asks MLflow without saying where the registry is: MLflow then makes one on the spot."""
    made = [Path.cwd() / name for name in ("mlflow.db", "mlruns")]
    there = [path for path in made if path.exists()]
    yield
    assert [path.name for path in made if path.exists() and path not in there] == []


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Commands that pay for no imports: forks of a process that has imported."""
    with waiting(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A state database in a test's directory."""
    opened = Store(Store.sqlite_url(tmp_path / "state.db"))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def profile() -> Iterator[Any]:
    """A browser's context, for the tests of a module: for as long as it is there, nothing else can use asyncio."""
    with browser() as running:
        yield running.new_context()


@pytest.fixture
def lab(profile: Any, server: Server) -> Iterator[Lab]:
    """A page of the JupyterLab of a test's directory, which asks for nothing beyond its server."""
    with lab_alone(profile, server) as opened:
        yield opened


@pytest.fixture
def pictures() -> Pictures:
    """Take screenshots where ``TEST_PICTURES`` names a directory."""
    folder = os.environ.get("TEST_PICTURES")
    return Pictures(Path(folder) if folder else None)
