"""A protected alias moves to what passed its gates and others approved, at whichever door; only a rollback is free."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlprod_nb import Workspace
from mlprod_nb.errors import Corrupt, Refused
from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.context import Caller, Context
from mlprod_nb.lifecycle.deploying.previewing import PromotionPreview
from mlprod_nb.lifecycle.retraining import Retraining, retrain
from mlprod_nb.reports import ReportResult
from tests.lifecycle.conftest import Site, make_site
from tests.notebook_files import PARAMETERS, code, text, verdict, write

RULE = "\n[models.flights.protected.champion]\napprovals = 1\n"


def by(site: Site, actor: str) -> Workspace:
    """Return the workspace as somebody opens it."""
    return Workspace(site.workspace.root, caller=Caller(actor))


def rule(site: Site, text: str = RULE) -> None:
    """Protect the champion, by settings that hold for whoever opens the workspace from now on."""
    file = site.workspace.root / "mlprod.toml"
    file.write_text(file.read_text(encoding="utf-8").partition("\n[models.")[0] + text, encoding="utf-8")


@contextmanager
def running(root: Path) -> Iterator[Site]:
    """Yield a workspace whose champion serves and is protected, and whose challenger ann has registered."""
    site = make_site(root)
    ann = by(site, "ann")
    ann.register("flights", model=site.model, data=site.data, target=site.target, note="third")
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    rule(site)
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "shop") as site:
        yield site


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A shop with a gate report of flights/3 that bob has approved, and the report's digest."""
    with running(tmp_path_factory.mktemp("approved") / "shop") as site:
        digest = by(site, "ann").check("flights/3").digest
        by(site, "bob").approve(digest, reason="read it")
        yield site, digest


def champion(site: Site) -> int:
    return site.workspace.context.registry.aliases("flights")["champion"]


def unmoved(site: Site, door: Callable[[], object], message: str) -> str:
    """Try a door that must stay shut, and return the refusal."""
    revisions = len(site.workspace.history("flights").moves)
    with pytest.raises(Refused, match=message) as caught:
        door()
    assert champion(site) == 1
    assert set(site.ask("flights")) == {"flights/1"}
    assert len(site.workspace.history("flights").moves) == revisions
    return str(caught.value)


def trail(site: Site) -> list[str]:
    entries = site.workspace.audit_show(limit=100).entries
    return [entry.detail for entry in entries if entry.action == "move protected alias"]


def test_promoting_takes_a_passing_gate_report_and_an_approval_by_another_than_the_author(shop: Site) -> None:
    ann, bob = by(shop, "ann"), by(shop, "bob")
    said = unmoved(shop, lambda: ann.promote("flights/3"), "flights@champion is protected and stays at flights/1")
    assert "flights/3 has no gate report. flights/3 lacks 1 approval by others than its author, ann." in said
    assert "Run: mlprod check flights/3; then somebody else than ann runs: mlprod approve DIGEST --reason WHY" in said
    digest = ann.check("flights/3").digest
    said = unmoved(shop, lambda: ann.promote("flights/3"), "flights/3 lacks 1 approval")
    assert f"mlprod approve {digest[:12]} --reason WHY" in said
    assert "mlprod check" not in said
    said = ann.approve(digest, reason="my own work").headline()
    assert said.endswith(
        f"{digest[:12]} is approved by ann."
        " An approval by ann does not count for flights@champion: ann registered flights/3."
    )
    said = unmoved(shop, lambda: bob.promote("flights/3"), "lacks 1 approval")
    assert f"The approval by ann of gates {digest[:12]} does not count: it is the author's own." in said
    assert bob.approve(digest, reason="read it").headline().endswith("is approved by bob.")
    ann.promote("flights/3", reason="approved")
    assert champion(shop) == 3
    assert trail(shop) == [f"flights/1 to flights/3: gate report {digest[:12]}; approved by bob (gates {digest[:12]})"]
    # Back in an emergency: nobody is asked, and the trail says so.
    by(shop, "cat").rollback("flights", reason="errors")
    assert champion(shop) == 1
    assert trail(shop)[0] == "flights/3 to flights/1: taken back by a rollback, which needs no approval"
    assert shop.workspace.audit_verify().exit_code == 0


def test_an_approval_is_void_when_what_it_rests_on_has_changed(shop: Site) -> None:
    ann, bob = by(shop, "ann"), by(shop, "bob")
    first = ann.check("flights/3")
    bob.approve(first.digest, reason="read it")
    page = shop.workspace.root / first.page
    kept = page.read_text(encoding="utf-8")
    page.write_text(kept + "<!-- -->", encoding="utf-8")
    unmoved(
        shop,
        lambda: ann.promote("flights/3"),
        r"The approval by bob of gates .* does not count: .*index.html was changed",
    )
    page.write_text(kept, encoding="utf-8")
    second = ann.check("flights/3")
    said = unmoved(shop, lambda: ann.promote("flights/3"), "the version was checked again since")
    assert f"mlprod approve {second.digest[:12]}" in said
    bob.approve(second.digest, reason="again")
    rule(shop, RULE.replace("1", "2"))
    unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "flights/3 lacks 1 approval by")
    rule(shop, RULE + 'reports = ["abtest"]\n')
    unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "of reports, abtest count")
    rule(shop)
    by(shop, "ann").promote("flights/3")
    assert champion(shop) == 3


def test_a_version_that_fails_its_gates_is_refused_however_many_approved(shop: Site) -> None:
    rule(shop, RULE + "\n[models.flights.gates.latency]\nlimit_ms = 1e-9\n")
    ann, bob = by(shop, "ann"), by(shop, "bob")
    found = ann.check("flights/3")
    assert found.verdict.status == "alarm"
    bob.approve(found.digest, reason="who cares")
    said = unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "flights/3 must not be deployed: latency:")
    assert "lacks" not in said
    with pytest.raises(Refused, match=r"is a gate report, .*Run: mlprod check flights/3"):
        ann.replay(found.digest)


def test_a_new_version_gets_no_protected_alias_as_it_is_registered_or_retrained(shop: Site) -> None:
    ann = by(shop, "ann")
    before = shop.workspace.models("flights").versions
    unmoved(
        shop,
        lambda: ann.register("flights", model=shop.model, data=shop.data, target=shop.target, alias="champion"),
        r"flights@champion is protected: a version that is only being made .*Leave the alias out",
    )
    unmoved(shop, lambda: retrain(ann.context, Retraining("flights", "recent", alias="champion")), "is protected")
    assert shop.workspace.models("flights").versions == before
    assert ann.register("flights", model=shop.model, data=shop.data, target=shop.target, alias="robust").alias


def test_deploying_and_routing_move_no_alias(shop: Site) -> None:
    by(shop, "ann").deploy("flights/3")
    by(shop, "ann").route("flights", "v3=50", "champion=50")
    assert champion(shop) == 1
    assert trail(shop) == []


def abtest_report(shop: Site, status: str) -> ReportResult:
    """Report on the running test, with a verdict of our own."""
    path = shop.workspace.root / "notebooks" / "abtest_report.ipynb"
    write(path, text("# Test"), code(PARAMETERS, "parameters"), verdict(status, "as it is."))
    return by(shop, "ann").report("flights", "abtest")


def test_an_ab_test_ships_through_the_same_rule_and_its_report_counts_until_a_newer_one_is_an_alarm(
    shop: Site,
) -> None:
    ann, bob = by(shop, "ann"), by(shop, "bob")
    ann.route("flights", "champion=50", "challenger=50", unit="tailnum")
    ann.abtest_start("flights")
    shop.workspace.predict("flights", data=shop.data[:60], units=[f"N{i}" for i in range(60)])

    def ship() -> object:
        return ann.abtest_stop("flights", ship=True, yes=True, reason="decided")

    def refused(message: str) -> None:
        with pytest.raises(Refused, match=message):
            ship()
        assert champion(shop) == 1

    refused("flights/2 has no gate report")
    ann.check("flights/2")
    report = abtest_report(shop, "ok")
    author = shop.workspace.context.registry.resolve("flights/2").author
    bob.approve(report.digest, reason="better")
    abtest_report(shop, "alarm")
    refused("its verdict, or that of a newer one, is an alarm")
    newest = abtest_report(shop, "warn")
    assert author not in ("ann", "bob")
    assert newest.digest != report.digest
    ship()
    assert champion(shop) == 2
    assert trail(shop)[0].endswith(f"approved by bob (abtest {report.digest[:12]})")


def test_a_move_that_nobody_cleared_cannot_be_written(shop: Site) -> None:
    context: Context = by(shop, "ann").context
    move = aliases.planned(context, "flights", "champion", 3)
    with pytest.raises(Refused):
        protecting.clear(context, move)
    assert protecting.examine(context, aliases.planned(context, "flights", "challenger", 3)) is None


def test_who_approves_is_the_account_and_not_what_the_shell_says(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Caller.current().actor
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert Caller.current().actor == account != "somebody-else"


def write_row(shop: Site, statement: str, **values: object) -> None:
    """Write to the database beside every door."""
    with shop.workspace.context.store.write() as connection:
        connection.execute(sa.text(statement), values)


def verified(shop: Site) -> tuple[str, ...]:
    found = by(shop, "cat").verify()
    assert (found.exit_code == 1) == bool(found.problems)
    return found.problems


def test_a_report_s_row_that_was_pointed_at_another_version_moves_nothing_and_is_named(shop: Site) -> None:
    ann, bob = by(shop, "ann"), by(shop, "bob")
    ann.check("flights/3")
    approved = bob.check("flights/1").digest
    bob.approve(approved, reason="read it")
    assert verified(shop) == ()
    bundle = shop.workspace.context.registry.resolve("flights/3").bundle
    bound = json.dumps({"model_versions": ["flights/3"], "bundles": {"flights/3": bundle}})
    write_row(shop, "update reports set bound_to = :bound where digest = :digest", bound=bound, digest=approved)
    rule(shop, RULE + 'reports = ["gates", "drift"]\n')
    unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "lacks 1 approval")
    [problem] = verified(shop)
    assert f"says something else of report {approved[:12]} than its digest covers: bound_to." in problem
    assert problem.endswith("Its 1 approval does not count.")
    with pytest.raises(Corrupt, match="than its digest covers: bound_to"):
        by(shop, "cat").approve(approved, reason="me too")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("status", "alarm", "than its digest covers: status"),
        ("sentence", "all is well.", "than its digest covers: sentence"),
        ("endpoint", "taxis", "than its digest covers: endpoint"),
        ("kind", "abtest", "than its digest covers: kind"),
        ("path", "reports/flights", "verdict at"),
        ("files", "{}", "holds no seal of index.html"),
    ],
)
def test_an_edited_row_takes_its_approvals_out_of_force(
    approved: tuple[Site, str], column: str, value: str, message: str
) -> None:
    shop, digest = approved
    edit = f"update reports set {column} = :value where digest = :digest"
    with shop.workspace.context.store.read() as connection:
        row = sa.text(f"select {column} from reports where digest = :digest")
        whole = connection.execute(row, {"digest": digest}).scalar_one()
    write_row(shop, edit, value=value, digest=digest)
    unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "lacks 1 approval")
    assert any(message in problem for problem in verified(shop))
    write_row(shop, edit, value=whole, digest=digest)
    assert verified(shop) == ()


def test_an_approval_that_came_through_no_door_counts_nowhere_and_is_named(shop: Site) -> None:
    digest = by(shop, "ann").check("flights/3").digest
    statement = "insert into approvals (report_digest, actor, reason, at) values (:digest, 'bob', 'fine', :at)"
    write_row(shop, statement, digest=digest, at="2026-01-01T00:00:00.000000Z")
    unmoved(shop, lambda: by(shop, "ann").promote("flights/3"), "by bob .* the audit trail does not know it")
    assert verified(shop) == (
        f"the approval by bob of report {digest[:12]} is not in the audit trail: it came through none of the doors.",
    )


def test_tokens_that_nobody_granted_or_that_were_revoked_are_named(shop: Site) -> None:
    cat = by(shop, "cat")
    cat.access_grant("bob", role="reviewer")
    cat.access_grant("eve", role="viewer")
    cat.access_revoke("eve")
    cat.access_grant("eve", role="viewer")
    assert verified(shop) == ()
    write_row(shop, "update tokens set revoked_at = null where name = 'eve'")
    write_row(shop, "update tokens set role = 'admin' where name = 'bob'")
    assert verified(shop) == (
        "a token of 'bob' with the role admin is in force, which the audit trail did not grant or has revoked.",
        "a token of 'eve' with the role viewer is in force, which the audit trail did not grant or has revoked.",
    )


def test_an_alias_that_was_moved_in_mlflow_serves_and_moves_nothing_until_it_is_put_back(shop: Site) -> None:
    ann, bob = by(shop, "ann"), by(shop, "bob")
    digest = ann.check("flights/3").digest
    ann.context.registry.set_alias("flights", "champion", 3)  # as MLflow's page does
    said = r"champion is protected and was moved by none of the verbs: MLflow has flights/3, the journal flights/1\."
    doors: list[Callable[[], object]] = [
        lambda: by(shop, "ann").promote("flights/3"),
        lambda: by(shop, "ann").promote("flights/2"),
        lambda: by(shop, "ann").deploy("flights@champion"),
        lambda: by(shop, "ann").route("flights", "champion=50", "challenger=50"),
    ]
    for door in doors:
        with pytest.raises(Refused, match=said) as told:
            door()
        assert str(told.value).count("is protected") == 1
        assert "stays at" not in str(told.value)
    assert set(shop.ask("flights")) == {"flights/1"}
    bob.approve(digest, reason="read it")
    with pytest.raises(Refused, match=said):
        by(shop, "ann").promote("flights/3")
    dry = by(shop, "ann").promote("flights/3", dry_run=True)
    assert isinstance(dry, PromotionPreview)
    assert (dry.exit_code, dry.missing[0][:50]) == (1, "flights@champion is protected and was moved by non")
    [problem] = verified(shop)
    assert re.search(said, problem)
    by(shop, "ann").promote("flights/1", reason="put back")
    assert champion(shop) == 1
    assert trail(shop)[0] == "flights/3 to flights/1: put back to where the journal has it"
    assert verified(shop) == ()
    by(shop, "ann").promote("flights/3")
    assert champion(shop) == 3


def test_a_protected_alias_that_only_mlflow_knows_is_refused_and_an_unprotected_one_is_mlflows(shop: Site) -> None:
    registry = by(shop, "ann").context.registry
    rule(shop, RULE.replace("champion", "gold"))
    registry.set_alias("flights", "gold", 3)
    registry.set_alias("flights", "champion", 2)
    with pytest.raises(Refused, match=r"MLflow has flights/3, the journal nothing\. Delete the alias in MLflow"):
        by(shop, "ann").deploy("flights@gold")
    by(shop, "ann").deploy("flights@champion")
    assert set(shop.ask("flights")) == {"flights/2"}
