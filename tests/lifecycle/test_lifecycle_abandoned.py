"""What a killed verb asked of a gateway that is gone comes into force at no later start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlprod_nb.errors import Refused
from tests.forks import Forks
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose endpoint serves two versions, and one alone before."""
    site = make_site(tmp_path / "site")
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50", unit="tailnum")
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def test_a_change_whose_verb_was_killed_never_serves_and_the_history_says_why(site: Site, forks: Forks) -> None:
    workspace = site.workspace
    forks.killed("tests.lifecycle.routing_process", workspace.root, "flights", "challenger=100")
    assert workspace.history("flights").moves[0].outcome == "waiting"
    with pytest.raises(Refused, match="the gateway is not running"):
        workspace.route("flights", "challenger=50")
    with pytest.raises(Refused, match="the gateway is not running"):
        workspace.rollback("flights")

    workspace.up()
    assert set(site.ask("flights")) == {"flights/1", "flights/2"}
    newest = workspace.history("flights").moves[0]
    assert (newest.what, newest.outcome) == ("revision 3", "abandoned: the gateway ended before it decided")
    assert workspace.route("flights", "challenger=100").revision == 4
    assert set(site.ask("flights")) == {"flights/2"}
    assert workspace.rollback("flights").revision == 5
    assert set(site.ask("flights")) == {"flights/1", "flights/2"}
