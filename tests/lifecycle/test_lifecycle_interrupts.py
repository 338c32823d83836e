"""Interrupted at any step, a verb leaves all or nothing: a real SIGINT, at each step that it reports."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Caller
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let this process hear SIGINT: what a shell starts in the background ignores it."""
    given = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, given)


class InterruptAt:
    """A listener that sends SIGINT when a step begins."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) == self.number:
            os.kill(os.getpid(), signal.SIGINT)

    def at(self, done: int, total: int) -> None:
        pass


def workspace_of(site: Site, listener: InterruptAt) -> Workspace:
    caller = replace(Caller.current(), progress=listener)
    return Workspace(site.workspace.root, caller=caller)


def interrupted_everywhere(site: Site, verb: Callable[[Workspace], Any], whole: Callable[[], None]) -> list[str]:
    """Interrupt a verb at each of its steps; check after each; return the steps of the run that was let through."""
    for number in range(1, 20):
        listener = InterruptAt(number)
        try:
            verb(workspace_of(site, listener))
        except (KeyboardInterrupt, MlprodError):
            whole()
        else:
            assert len(listener.steps) == number - 1
            whole()
            return listener.steps
    raise AssertionError("it has no end")


def test_a_registration_is_whole_or_not_there(site: Site) -> None:
    def whole() -> None:
        versions = [row.version for row in site.workspace.models().versions if row.version.startswith("tried/")]
        journal = [entry.subject for entry in journalled(site) if entry.subject.startswith("tried/")]
        assert sorted(versions) == sorted(journal)
        if versions:
            newest = max(versions)
            assert site.workspace.context.registry.resolve("tried@champion").ref == newest

    def verb(workspace: Workspace) -> Any:
        return workspace.register("tried", model=site.model, data=site.data, target=site.target, alias="champion")

    assert interrupted_everywhere(site, verb, whole)[-1] == "recording the version"


def test_a_promotion_moves_the_traffic_and_the_alias_or_neither(site: Site) -> None:
    site.workspace.deploy("flights/1")

    def whole() -> None:
        serves = next(row.version for row in site.workspace.status().endpoints if row.endpoint == "flights")
        champion = site.workspace.context.registry.resolve("flights@champion").ref
        assert serves == champion
        assert set(site.ask("flights", 3)) == {serves}
        # Back to where it was, so that each interrupt meets the same work.
        site.workspace.promote("flights/1")

    steps = interrupted_everywhere(site, lambda workspace: workspace.promote("flights/2"), whole)
    assert steps == ["waiting for the gateway to load it", "waiting for every worker to serve it"]


@pytest.mark.slow
def test_a_report_is_indexed_with_its_files_or_leaves_none(site: Site) -> None:
    site.workspace.deploy("flights/1")
    site.workspace.predict("flights", data=site.data[:60])

    def whole() -> None:
        from mlprod_nb.store import report_index

        with site.workspace.context.store.read() as connection:
            indexed = {
                record.digest[: report_index.SHORT] for record in report_index.list_reports(connection, limit=100)
            }
        folders = {path.parent.name for path in site.workspace.root.glob("reports/flights/drift/*/index.html")}
        assert {name.rpartition("-")[2] for name in folders} == indexed
        assert not list(site.workspace.root.glob("reports/**/.building-*"))

    steps = interrupted_everywhere(site, lambda workspace: workspace.report("flights", "drift"), whole)
    assert "running the drift notebook" in steps


def journalled(site: Site) -> list[Any]:
    import sqlalchemy as sa

    from mlprod_nb.store import tables

    with site.workspace.context.store.read() as connection:
        query = sa.select(tables.journal).where(tables.journal.c.kind == "register")
        return list(connection.execute(query))
