from __future__ import annotations

import pytest

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle.deploying.deploy import UnitsMoved
from mlprod_nb.lifecycle.panels.traffic import Choice, TrafficView
from mlprod_nb.lifecycle.status import StatusResult
from tests.lifecycle.conftest import Site


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50", unit="distance")
    return site


def test_the_traffic_panel_tells_what_answers_what_could_and_what_was(served: Site) -> None:
    view = served.workspace.panel("traffic", "flights")
    assert isinstance(view, TrafficView)
    assert view.headline() == "Endpoint 'flights', revision 2: champion 50 %, challenger 50 %."
    assert [(part.variant, part.version, part.share, part.alias_version) for part in view.variants] == [
        ("champion", "flights/1", 50.0, ""),
        ("challenger", "flights/2", 50.0, ""),
    ]
    assert [(one.revision, one.traffic) for one in view.earlier] == [
        (2, "champion flights/1 50 %, challenger flights/2 50 %"),
        (1, "champion flights/1 100 %"),
    ]
    assert view.choices == ()


def test_a_panel_of_the_only_endpoint_needs_no_name_and_a_wrong_one_is_answered_by_the_nearest(served: Site) -> None:
    assert served.workspace.panel("traffic").to_dict()["endpoint"] == "flights"
    assert isinstance(served.workspace.panel("status"), StatusResult)
    with pytest.raises(NotFound, match=r"there is no panel 'trafic'\. Did you mean 'traffic'"):
        served.workspace.panel("trafic")
    with pytest.raises(NotFound, match=r"there is no endpoint 'flight'\. Did you mean 'flights'"):
        served.workspace.panel("traffic", "flight")


def test_a_dry_run_tells_who_would_move(served: Site) -> None:
    tried = served.workspace.route("flights", "champion=70", "challenger=30", dry_run=True)
    assert tried.moves == (UnitsMoved("challenger", "champion", 20.0),)
    assert served.workspace.route("flights", "champion=50", "challenger=50", dry_run=True).moves == ()


def test_an_alias_that_moved_since_is_told_and_what_gets_nothing_is_a_choice(served: Site) -> None:
    served.workspace.deploy("flights/2", endpoint="second")
    with pytest.raises(UsageError, match="panel traffic is about one endpoint, and there are 2"):
        served.workspace.panel("traffic")
    view = served.workspace.panel("traffic", "second")
    assert isinstance(view, TrafficView)
    assert view.choices == (Choice("challenger", "flights/2"), Choice("champion", "flights/1"))
    served.workspace.context.registry.set_alias("flights", "champion", 2)
    moved = served.workspace.panel("traffic", "flights")
    assert isinstance(moved, TrafficView)
    assert [part.alias_version for part in moved.variants] == ["flights/2", ""]
    served.workspace.context.registry.set_alias("flights", "champion", 1)
    served.workspace.undeploy("second", yes=True)
