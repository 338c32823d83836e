"""A workspace in which versions are released: one that is fine, and one that says the opposite of what is true."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb import Workspace, scheduler
from mlprod_nb.lifecycle.alias_moves import aliases
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.history import Move
from mlprod_nb.lifecycle.releasing.shown import ReleaseResult
from tests.lifecycle.conftest import Site, make_site

Opener = Callable[..., Workspace]
PLAIN = 'name = "site"\n'
GOOD, BAD = "flights/2", "flights/3"


@contextmanager
def running(root: Path) -> Iterator[Site]:
    """Yield a site that runs, with the bad version in it."""
    site = make_site(root)
    bad = make_pipeline(StandardScaler(), LogisticRegression()).fit(site.data, 1 - site.target)
    site.workspace.register("flights", model=bad, data=site.data, target=site.target, note="planted")
    up(site)
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def up(site: Site) -> None:
    """Start the gateway without the scheduler, which would carry releases on between two lines of a test."""
    site.workspace.up()
    scheduler.stop(site.workspace.root)


def opener(site: Site) -> Iterator[Opener]:
    """Yield what opens the workspace with settings of releases; quick ones unless they are given."""
    file = site.workspace.context.layout.settings_file

    def again(**settings: str) -> Workspace:
        given = {"hold": '"0s"', "steps": "[20, 50, 100]", "min_predictions": "60", **settings}
        lines = [f"{name} = {value}" for name, value in given.items()]
        file.write_text("\n".join([PLAIN, "[models.flights.release]", *lines]))
        return Workspace.open(site.workspace.root)

    yield again
    file.write_text(PLAIN)


def ask(site: Site, endpoint: str) -> None:
    """Answer every row as its own unit, and send what really happened."""
    units = [f"N{i}" for i in range(len(site.data))]
    answered = site.workspace.predict(endpoint, data=site.data, units=units)
    site.workspace.feedback(endpoint, ids=answered.prediction_ids, values=site.target.tolist())
    wait_for_shadows(site.workspace, endpoint)


def wait_for_shadows(workspace: Workspace, endpoint: str) -> None:
    """Poll the log until every answer of the newest revision has those of its shadows."""
    log, newest = workspace.context.log, revise.existing(workspace.context, endpoint)
    assert newest.spec is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = log.predictions(log.pin(endpoint), shadows=True, only=["revision", "shadow"]).to_pylist()
        mine = [row["shadow"] for row in rows if row["revision"] == newest.number]
        if sum(mine) == len(newest.spec.shadows) * (len(mine) - sum(mine)):
            return
        time.sleep(0.05)
    raise AssertionError("the shadows did not answer")


def shown(found: object) -> ReleaseResult:
    assert isinstance(found, ReleaseResult)
    return found


def state(workspace: Workspace, endpoint: str) -> str:
    return workspace.release_show(endpoint).state


def serving(workspace: Workspace, endpoint: str) -> str:
    return revise.describe(revise.existing(workspace.context, endpoint).spec)


def put_back(workspace: Workspace) -> None:
    """Give the champion's alias back to flights/1, with the journal that a verb would write."""
    move = aliases.planned(workspace.context, "flights", "champion", 1)
    if move.before != move.after:
        aliases.apply(workspace.context, move)
        with workspace.context.store.write() as connection:
            aliases.write_journal(workspace.context, connection, aliases.Cleared(move, ""), reason="a test of its own")


def fresh_endpoint(site: Site, test: str) -> str:
    """Return a test's own endpoint, which serves flights/1."""
    name = f"e-{zlib.crc32(test.encode()):x}"
    put_back(site.workspace)
    site.workspace.deploy("flights@champion", endpoint=name)
    return name


def revisions(workspace: Workspace, endpoint: str) -> list[Move]:
    """Return an endpoint's revisions, newest first, without the moves of aliases."""
    return [move for move in workspace.history(endpoint).moves if move.what.startswith("revision")]
