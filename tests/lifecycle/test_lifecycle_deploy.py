"""Deploy, route, promote, roll back: against a real gateway, a real registry and real requests."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pandas as pd
import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import InvalidInput, NotFound, Refused, Unavailable, UsageError
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.store import revisions
from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import wait_for_shadows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def endpoint(site: Site, request: pytest.FixtureRequest) -> str:
    """An endpoint of this test's own, which serves the champion."""
    name = str(request.node.name).replace("_", "-")[:60]
    site.workspace.deploy("flights@champion", endpoint=name)
    return name


def aliases(site: Site) -> dict[str, int]:
    return site.workspace.context.registry.aliases("flights")


@contextmanager
def refusing_aliases(site: Site) -> Iterator[None]:
    """Let the registry answer, and refuse every move of an alias."""
    refuse = "BEFORE {} ON registered_model_aliases BEGIN SELECT RAISE(ABORT, 'refused'); END"
    database = sqlite3.connect(site.workspace.context.layout.mlflow_database, isolation_level=None)
    with closing(database):
        for kind in ("INSERT", "UPDATE", "DELETE"):
            database.execute(f"CREATE TRIGGER refuse_{kind} {refuse.format(kind)}")
        yield
        for kind in ("INSERT", "UPDATE", "DELETE"):
            database.execute(f"DROP TRIGGER refuse_{kind}")


def test_a_deployed_version_answers_every_request(site: Site, endpoint: str) -> None:
    assert set(site.ask(endpoint)) == {"flights/1"}


def test_a_split_is_sticky_and_near_its_shares(site: Site, endpoint: str) -> None:
    result = site.workspace.route(endpoint, "champion=50", "challenger=50", unit="tailnum")
    assert [(row.variant, row.share) for row in result.traffic] == [("champion", 50.0), ("challenger", 50.0)]
    first, second = site.ask(endpoint, 400), site.ask(endpoint, 400)
    assert first == second
    assert 150 < Counter(first)["flights/1"] < 250


def test_units_that_pandas_made_numbers_of_are_those_of_a_client_that_sends_texts(site: Site, endpoint: str) -> None:
    site.workspace.route(endpoint, "champion=50", "challenger=50", unit="customer")
    numbers = pd.read_csv(StringIO("customer\n" + "\n".join(map(str, range(1000, 1020))) + '\n""\n'))["customer"]
    assert numbers.dtype == float
    rows = site.data[:21].assign(customer=numbers.to_numpy())
    known = site.workspace.predict(endpoint, data=site.data[:20], units=[str(number) for number in range(1000, 1020)])
    for data, units in ((rows, None), (rows, "customer"), (site.data[:21], numbers), (site.data[:21], list(numbers))):
        assert site.workspace.predict(endpoint, data=data, units=units).variant[:20] == known.variant
    logged = site.workspace.logs(endpoint, limit=200).rows
    counted: dict[str | None, int] = {str(number): 5 for number in range(1000, 1020)}
    assert Counter(row["unit"] for row in logged) == {**counted, None: 4}
    with pytest.raises(InvalidInput, match=r"the unit of row 2, column 'customer', must be .*, not 12\.5"):
        site.workspace.predict(endpoint, data=site.data[:3].assign(customer=[1.0, math.nan, 12.5]))


def test_a_canary_grows_by_steps_and_no_unit_goes_back(site: Site, endpoint: str) -> None:
    canary: set[int] = set()
    for share in (1, 5, 20, 60, 100):
        site.workspace.route(endpoint, f"champion={100 - share}", f"challenger={share}", unit="tailnum")
        grown = {place for place, version in enumerate(site.ask(endpoint, 200)) if version == "flights/2"}
        assert grown >= canary
        canary = grown
    assert len(canary) == 200


def test_a_shadow_is_named_beside_the_shares_and_never_answers(site: Site, endpoint: str) -> None:
    result = site.workspace.route(endpoint, "champion=100", "challenger=shadow")
    assert [(row.variant, row.share, row.shadow) for row in result.traffic] == [
        ("champion", 100.0, False),
        ("challenger", 0.0, True),
    ]
    assert set(site.ask(endpoint)) == {"flights/1"}
    shown = {
        row.variant: (row.share, row.note) for row in site.workspace.status().endpoints if row.endpoint == endpoint
    }
    assert shown == {"champion": (100, ""), "challenger": (0, "shadow")}
    assert "challenger flights/2 shadow" in site.workspace.route(endpoint, "challenger=100").before
    assert set(site.ask(endpoint)) == {"flights/2"}


def test_whoever_asks_the_log_for_a_shadow_is_told_how_it_shows_one(site: Site, endpoint: str) -> None:
    site.workspace.route(endpoint, "champion=100", "challenger=shadow")
    site.ask(endpoint, 5)
    wait_for_shadows(site.workspace, endpoint)
    asked = site.workspace.logs(endpoint, where="variant = 'challenger'")
    assert asked.rows == ()
    assert asked.headline().endswith("What shadows answered is left out: --shadows shows it, too.")
    shown = site.workspace.logs(endpoint, where="variant = 'challenger'", shadows=True)
    assert [row["shadow"] for row in shown.rows] == [True] * 5
    assert "shadow" in shown.sections()[0].columns
    assert "shadow" not in site.workspace.logs(endpoint).sections()[0].columns
    assert not site.workspace.logs(endpoint, where="variant = 'nobody'").only_shadows
    assert len(site.workspace.log(endpoint, shadows=True)) == 10


def test_promoting_moves_traffic_and_alias_and_rollback_takes_both_back(site: Site, endpoint: str) -> None:
    site.workspace.route(endpoint, "champion=50", "challenger=50")
    promoted = site.workspace.promote("flights@challenger", endpoint=endpoint, reason="better")
    assert set(site.ask(endpoint)) == {"flights/2"}
    assert aliases(site)["champion"] == 2
    back = site.workspace.rollback(endpoint, reason="worse after all")
    assert back.restores == promoted.revision - 1
    assert set(site.ask(endpoint, 400)) == {"flights/1", "flights/2"}
    assert aliases(site)["champion"] == 1


def test_a_promotion_whose_alias_the_registry_refuses_is_taken_back_in_route_and_journal(
    site: Site, endpoint: str
) -> None:
    with refusing_aliases(site), pytest.raises(Unavailable, match="the MLflow registry fails"):
        site.workspace.promote("flights@challenger", endpoint=endpoint, reason="better")
    assert set(site.ask(endpoint)) == {"flights/1"}
    assert aliases(site)["champion"] == 1
    moves = [m for m in site.workspace.history(endpoint).moves if m.outcome == "active" or "@" in m.what]
    told = [(move.what, move.after, move.reason) for move in moves]
    assert ("flights@champion", "flights/1", "the registry did not take the move") in told
    assert ("flights@champion", "flights/2", "better") in told
    assert site.workspace.status().verdict.status == "ok"
    assert site.workspace.promote("flights@challenger", endpoint=endpoint, dry_run=True).aliases[0].after == "flights/2"


def test_rolling_back_twice_goes_further_back(site: Site, endpoint: str) -> None:
    site.workspace.route(endpoint, "champion=50", "challenger=50")
    site.workspace.route(endpoint, "challenger=100")
    assert site.workspace.rollback(endpoint).restores == 2
    assert site.workspace.rollback(endpoint).restores == 1
    with pytest.raises(Refused, match="no earlier revision") as told:
        site.workspace.rollback(endpoint)
    served = "Revision 4 served champion flights/1 50 %, challenger flights/2 50 %"
    assert told.value.hint == f"{served}: mlprod rollback {endpoint} --to 4"


def test_rollback_to_a_number_equals_that_revision(site: Site, endpoint: str) -> None:
    site.workspace.route(endpoint, "challenger=100")
    site.workspace.route(endpoint, "champion=10", "challenger=90")
    assert site.workspace.rollback(endpoint, to=1).traffic[0].version == "flights/1"
    with pytest.raises(UsageError, match="no live revision 99"):
        site.workspace.rollback(endpoint, to=99)


def test_a_dry_run_changes_nothing(site: Site, endpoint: str) -> None:
    before = site.workspace.history(endpoint)
    result = site.workspace.promote("flights@challenger", endpoint=endpoint, dry_run=True)
    assert result.dry_run
    assert result.aliases[0].after == "flights/2"
    assert site.workspace.history(endpoint) == before
    assert set(site.ask(endpoint)) == {"flights/1"}


def test_a_damaged_copy_of_a_bundle_is_mended_from_the_registry(site: Site, endpoint: str) -> None:
    context = site.workspace.context
    path = context.registry.fetch_bundle(context.registry.resolve("flights/2"), context.bundles).path / "model.onnx"
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    site.workspace.route(endpoint, "challenger=100")
    assert path.read_bytes() == whole
    assert set(site.ask(endpoint)) == {"flights/2"}


def test_an_endpoint_that_is_taken_away_answers_no_more_and_keeps_its_history(site: Site, endpoint: str) -> None:
    with pytest.raises(Refused, match="--yes"):
        site.workspace.undeploy(endpoint)
    site.workspace.undeploy(endpoint, yes=True)
    with pytest.raises(NotFound):
        site.ask(endpoint)
    assert site.workspace.history(endpoint).moves[0].after == "taken away"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((), "no shares"),
        (("champion",), "is not a share"),
        (("champion=lots",), "is not a share"),
        (("champion=-1",), "is not a share"),
        (("champion=nan",), "is not a share"),
        (("champion=1", "champion=2"), "named twice"),
        (("champoin=1",), "Did you mean 'champion'"),
        (("champion=0",), "weight above 0"),
    ],
)
def test_a_wrong_share_is_one_clear_line(site: Site, shares: tuple[str, ...], message: str) -> None:
    site.workspace.deploy("flights@champion", endpoint="shares")
    with pytest.raises(UsageError, match=message):
        site.workspace.route("shares", *shares)


@pytest.mark.parametrize(
    ("version", "message"),
    [("fligths@champion", "'flights'"), ("flights@champoin", "'flights@champion'"), ("flights/9", "version")],
)
def test_an_unknown_version_names_the_nearest(site: Site, version: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        site.workspace.deploy(version)


def test_the_history_tells_of_alias_moves_that_came_with_no_revision(site: Site) -> None:
    site.workspace.deploy("flights@champion", endpoint="told")
    moves = site.workspace.history("told").moves
    assert {(move.what, move.after, move.reason) for move in moves if "@challenger" in move.what} >= {
        ("flights@challenger", "flights/2", "second")
    }


def test_a_rollback_to_a_moment_restores_what_served_then(site: Site) -> None:
    workspace = site.workspace
    workspace.deploy("flights/1", endpoint="then")
    first = workspace.context.clock()
    workspace.deploy("flights/2", endpoint="then")
    with pytest.raises(Refused, match=r"'then' did not serve yet at .*Its first revision began at"):
        workspace.rollback("then", to="last tuesday")
    with pytest.raises(Refused, match=r"revision 2 of 'then' served at .*, and serves still"):
        workspace.rollback("then", to="0s")
    with pytest.raises(UsageError, match=r"--to: 'last tuesdey' is not a moment. Did you mean 'last tuesday'"):
        workspace.rollback("then", to="last tuesdey")
    with pytest.raises(UsageError, match=r"--to: 'soon' is not a moment. Write a date .* Or a revision's number\.$"):
        workspace.rollback("then", to="soon")
    shown = workspace.rollback("then", to=first.isoformat(), dry_run=True)
    assert shown.as_of.startswith("revision 1 served at ")
    assert shown.as_of.endswith("Z (UTC)")
    assert shown.as_of in str(shown)
    assert workspace.rollback("then", to=first.isoformat()).traffic[0].version == "flights/1"


def test_what_served_last_tuesday_serves_again_though_the_registry_is_down_and_its_alias_follows(
    site: Site, endpoint: str
) -> None:
    workspace, context = site.workspace, site.workspace.context
    began = context.clock() - timedelta(days=14)
    spec = revise.existing(context, endpoint).spec
    assert spec is not None
    with context.store.write() as connection:  # decided with its proposal, so that no gateway does it now
        then = replace(spec, endpoint="week")
        first = revisions.propose(connection, "week", then, actor="ann", command="", reason="", now=began)
        revisions.decide(connection, first.id, "active", detail="", now=began)
    workspace.promote("flights/2", endpoint="week")
    database = context.layout.mlflow_database
    away = database.rename(database.with_suffix(".away"))
    try:
        done = workspace.rollback("week", to="last tuesday", reason="as before the fair")
    finally:
        away.rename(database)
    assert (done.restores, done.as_of.partition(" at ")[0]) == (1, "revision 1 served")
    assert set(site.ask("week")) == {"flights/1"}
    assert [(move.alias, move.after) for move in done.owed] == [("flights@champion", "flights/1")]
    assert workspace.rollback("week", to=1).owed == ()
    assert aliases(site)["champion"] == 1


def test_a_limit_for_a_variant_that_is_none_is_told_with_the_nearest(site: Site, endpoint: str) -> None:
    file = site.workspace.root / "mlprod.toml"
    kept = file.read_text()
    file.write_text(f"{kept}\n[endpoints.{endpoint}.max_rows]\nchampion = 8\nchalenger = 64\n")
    try:
        shares = ("champion=90", "challenger=10")
        result = Workspace.open(site.workspace.root).route(endpoint, *shares, dry_run=True)
    finally:
        file.write_text(kept)
    (note,) = result.notes
    assert note == (
        f"max_rows in mlprod.toml names 'chalenger', which is no variant of '{endpoint}' now. "
        "Did you mean 'challenger'?"
    )
    assert note in str(result)
    assert site.workspace.route(endpoint, *shares, dry_run=True).notes == ()
