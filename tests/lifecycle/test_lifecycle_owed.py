"""A promotion that is killed before its alias moved: the next verb moves it, where it still may."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.lifecycle import revise
from mlprod_nb.store import revisions
from tests.lifecycle.conftest import Site
from tests.lifecycle.promoting_process import MARKS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def site(site: Site) -> Site:
    """The site as it was before every promotion: flights/1 serves, and is the champion."""
    if "flights" in revise.active(site.workspace.context):
        site.workspace.promote("flights/1")
    else:
        site.workspace.deploy("flights@champion")
    return site


def killed(site: Site, mark: str) -> Workspace:
    """Let a promotion be killed at a mark, and wait for the gateway's decision; return a process's fresh look."""
    words = [sys.executable, "-W", "ignore", "-m", "tests.lifecycle.promoting_process"]
    command = [*words, str(site.workspace.root), mark]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    context = site.workspace._context
    with context.store.read() as connection:
        newest = revisions.history(connection, "flights")[-1]
    assert revise.outcome(context, newest).outcome == "active"
    assert champion(site) == 1
    return Workspace.open(site.workspace.root)


def champion(site: Site) -> int:
    return site.workspace._context.registry.aliases("flights")["champion"]


@pytest.mark.parametrize("mark", MARKS)
def test_the_next_verb_moves_the_alias_that_a_killed_promotion_left(site: Site, mark: str) -> None:
    found = killed(site, mark).status()
    assert champion(site) == 2
    assert found.verdict.status == "ok"
    assert found.endpoints[0].version == "flights/2"
    told, *_ = [e for e in site.workspace.audit_show(limit=5).entries if e.action == "make move"]
    assert (told.subject, told.detail) == ("flights@champion", "to flights/2: whoever began it died")
    newest = next(move for move in site.workspace.history("flights").moves if move.what == "flights@champion")
    assert (newest.after, newest.reason) == ("flights/2", "better in April")
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


def test_an_alias_that_somebody_moved_meanwhile_stays_as_it_is(site: Site) -> None:
    workspace = killed(site, "journal written")
    site.workspace._context.registry.delete_alias("flights", "champion")
    workspace.status()
    assert site.workspace._context.registry.aliases("flights").get("champion") is None
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


def test_a_registry_that_does_not_answer_lets_the_move_wait_and_status_says_so(site: Site) -> None:
    workspace = killed(site, "journal written")
    database = workspace._context.layout.mlflow_database
    away = database.rename(database.with_suffix(".away"))
    try:
        found = workspace.status()
        assert found.verdict.sentence.startswith("flights@champion has not moved to flights/2: whoever moved it died")
    finally:
        away.rename(database)
    Workspace.open(workspace.root).status()
    assert champion(site) == 2
