"""What a process left when it died between journal and registry: the next verb ends it, where it still may."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.registering import register
from mlprod_nb.registry.models import Registry
from mlprod_nb.store import revisions
from mlprod_nb.store.tables import journal
from tests.forks import Forks
from tests.lifecycle.alias_moves.promoting_process import MARKS
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def site(site: Site) -> Site:
    """The site as it was before every promotion: flights/1 serves, and is the champion."""
    if "flights" in revise.active(site.workspace.context):
        site.workspace.promote("flights/1")
    else:
        site.workspace.deploy("flights@champion")
    return site


def killed(site: Site, forks: Forks, mark: str) -> Workspace:
    """Let a promotion be killed at a mark, and wait for the gateway's decision; return a process's fresh look."""
    forks.killed("tests.lifecycle.alias_moves.promoting_process", site.workspace.root, mark)
    context = site.workspace._context
    with context.store.read() as connection:
        newest = revisions.history(connection, "flights")[-1]
    assert revise.outcome(context, newest).outcome == "active"
    assert champion(site) == 1
    return Workspace.open(site.workspace.root)


def champion(site: Site) -> int:
    return site.workspace._context.registry.aliases("flights")["champion"]


@pytest.mark.parametrize("mark", MARKS)
def test_the_next_verb_moves_the_alias_that_a_killed_promotion_left(site: Site, forks: Forks, mark: str) -> None:
    found = killed(site, forks, mark).status()
    assert champion(site) == 2
    assert found.verdict.status == "ok"
    assert found.endpoints[0].version == "flights/2"
    told, *_ = [e for e in site.workspace.audit_show(limit=5).entries if e.action == "make move"]
    assert (told.subject, told.detail) == ("flights@champion", "to flights/2: whoever began it died")
    newest = next(move for move in site.workspace.history("flights").moves if move.what == "flights@champion")
    assert (newest.after, newest.reason) == ("flights/2", "better in April")
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


def test_an_alias_that_somebody_moved_meanwhile_stays_as_it_is(site: Site, forks: Forks) -> None:
    workspace = killed(site, forks, "journal written")
    site.workspace._context.registry.delete_alias("flights", "champion")
    workspace.status()
    assert site.workspace._context.registry.aliases("flights").get("champion") is None
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


def test_a_registry_that_does_not_answer_lets_the_move_wait_and_status_says_so(site: Site, forks: Forks) -> None:
    workspace = killed(site, forks, "journal written")
    database = workspace._context.layout.mlflow_database
    away = database.rename(database.with_suffix(".away"))
    try:
        found = workspace.status()
        assert found.verdict.sentence.startswith("flights@champion has not moved to flights/2: whoever moved it died")
    finally:
        away.rename(database)
    Workspace.open(workspace.root).status()
    assert champion(site) == 2


def test_a_version_whose_registration_died_before_the_journal_is_written_into_it_by_the_next_verb(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(register, "_name_it", die)
    with pytest.raises(SystemExit):
        site.workspace.register("night", model=site.model, data=site.data, target=site.target, note="in the dark")
    for _ in range(2):  # once, however often somebody looks
        Workspace.open(site.workspace.root).models("night")
    [version] = site.workspace.models("night").versions
    with site.workspace.context.store.read() as connection:
        entries = sa.select(journal.c.reason, journal.c.actor).where(journal.c.subject == version.version)
        assert [tuple(row) for row in connection.execute(entries)] == [("in the dark", version.author)]
    [audited] = [e for e in site.workspace.audit_show(limit=5).entries if e.subject == version.version]
    assert audited.detail.endswith("whoever began it died")
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


def test_a_registration_that_made_no_version_leaves_nothing_to_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Registry, "register", die)
    with pytest.raises(SystemExit):
        site.workspace.register("flights", model=site.model, data=site.data, target=site.target)
    before = len(site.workspace.models("flights").versions)
    assert before == 2
    assert not list((site.workspace.root / ".mlprod" / "moves").iterdir())


@pytest.mark.parametrize("text", ["{", "[]", '{"moves": [["flights@champion"]], "revision": null}'])
def test_a_file_that_cannot_be_read_is_said_once_and_set_aside(site: Site, text: str) -> None:
    folder = site.workspace.root / ".mlprod" / "moves"
    folder.mkdir(exist_ok=True)
    (folder / "broken.json").write_text(text)
    heard: list[str] = []
    caller = replace(Caller.current(), progress=Listener(heard))
    workspace = Workspace(site.workspace.root, caller=caller)
    workspace.status()
    workspace.status()
    [said] = [step for step in heard if "setting aside" in step]
    assert said.startswith("setting aside .mlprod/moves/broken.unreadable, which cannot be read")
    assert [path.name for path in folder.iterdir()] == ["broken.unreadable"]
    (folder / "broken.unreadable").unlink()


class Listener:
    """Keeps the steps that it hears."""

    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    def step(self, name: str) -> None:
        self.heard.append(name)

    def at(self, done: int, total: int) -> None:
        """Hear nothing of it."""
