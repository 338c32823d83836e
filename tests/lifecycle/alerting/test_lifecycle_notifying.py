"""Notifications arrive, say what is needed, are kept until they do, and never show an address."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest

from mlprod_nb import Workspace
from mlprod_nb.access import secrets
from mlprod_nb.errors import UsageError
from mlprod_nb.lifecycle.alerting import alerts
from tests.clocks import Clock
from tests.lifecycle.alerting.looks import look
from tests.lifecycle.alerting.receivers import Webhook, mail_server, silent_port, webhook

SECRET = "s3cret-t0ken"
Opener = Callable[..., Workspace]


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Opens the workspace with alerts going to some addresses, within half a second unless said otherwise."""
    Workspace.init(str(tmp_path), name="airline")
    made: list[Workspace] = []

    def again(*urls: str, seconds: float = 20.0) -> Workspace:
        monkeypatch.setenv("MLPROD_ALERTS__URLS", " ".join(urls))
        monkeypatch.setenv("MLPROD_ALERTS__TIMEOUT_SECONDS", str(seconds))
        made.append(Workspace(tmp_path, clock=made[0].clock if made else Clock()))
        return made[-1]

    yield again
    for workspace in made:
        workspace.context.store.close()


def test_a_message_says_verdict_cause_report_and_the_line_to_run_next(hook: Webhook, opened: Opener) -> None:
    workspace = opened(hook.url())
    alerts.settle(workspace.context, look("performance=alarm"))
    [taken] = hook.taken
    assert taken["title"] == "airline: ALARM on flights"
    assert taken["type"] == "failure"
    assert taken["message"].splitlines() == [
        "Alert 1, alarm: performance=alarm.",
        "Cause: performance",
        f"Report: {workspace.root}/reports/flights/drift/x/index.html",
        "Next: %mlprod rollback flights",
        'Or: %mlprod alerts acknowledge 1 --reason "…"',
    ]


def test_a_link_leads_to_where_the_pages_are_served(hook: Webhook, opened: Opener, tmp_path: Path) -> None:
    file = tmp_path / "mlprod.toml"
    file.write_text(file.read_text() + '\n[alerts]\npages = "https://reports.example.org/"\n')
    alerts.settle(opened(hook.url()).context, look("drift=alarm"))
    assert "Report: https://reports.example.org/reports/flights/drift/x/index.html" in hook.taken[0]["message"]


def test_a_cause_that_lasts_is_told_once_and_its_end_is_told(hook: Webhook, opened: Opener) -> None:
    context = opened(hook.url()).context
    for _ in range(3):
        alerts.settle(context, look("drift=alarm"))
    alerts.settle(context, look("drift=ok"))
    assert [taken["title"] for taken in hook.taken] == ["airline: ALARM on flights", "airline: recovered: flights"]
    assert [taken["type"] for taken in hook.taken] == ["failure", "success"]


def test_an_alert_is_told_again_once_when_its_snooze_ends(hook: Webhook, opened: Opener) -> None:
    workspace = opened(hook.url())
    clock = cast(Clock, workspace.clock)
    alerts.settle(workspace.context, look("drift=alarm"))
    workspace.alerts_snooze(1, until="3d")
    alerts.settle(workspace.context, look("drift=alarm"))
    assert len(hook.taken) == 1
    clock.now += timedelta(days=3)
    for _ in range(2):
        alerts.settle(workspace.context, look("drift=alarm"))
    assert [taken["title"] for taken in hook.taken][1:] == ["airline: still open: ALARM on flights"]


def test_what_did_not_arrive_is_said_and_sent_by_the_next_look_and_only_where_it_is_missing(
    hook: Webhook, opened: Opener
) -> None:
    with webhook() as other:
        workspace = opened(hook.url(), other.url())
        other.status = 503
        alerts.settle(workspace.context, look("drift=alarm"))
        note = "not sent: json 2: it was refused with HTTP 503"
        assert workspace.status().alerts[0].note == note
        assert workspace.alerts_list().alerts[0].note == note
        other.status = 200
        alerts.settle(workspace.context, look("drift=alarm"))
        assert (len(hook.taken), len(other.taken)) == (1, 1)
        assert workspace.status().alerts[0].note == ""


def test_an_address_that_never_answers_costs_its_time_and_no_more(opened: Opener) -> None:
    with silent_port() as port:
        workspace = opened(f"json://127.0.0.1:{port}/{SECRET}", seconds=0.3)
        begin = time.monotonic()
        alerts.settle(workspace.context, look("drift=alarm"))
        assert time.monotonic() - begin < 30
    note = workspace.alerts_list().alerts[0].note
    assert note.startswith("not sent: json 1: ")


def test_no_address_is_no_failure(opened: Opener) -> None:
    workspace = opened()
    alerts.settle(workspace.context, look("drift=alarm"))
    assert workspace.alerts_list().alerts[0].note == ""
    assert workspace.alerts_test().verdict.status == "warn"


def test_an_e_mail_arrives(opened: Opener) -> None:
    with mail_server() as (port, taken):
        url = f"mailto://127.0.0.1:{port}?from=mlprod@example.org&to=ada@example.org&mode=insecure"
        alerts.settle(opened(url).context, look("performance=alarm"))
    mail = email.message_from_string(taken[0], _class=EmailMessage, policy=email.policy.default)
    assert mail["Subject"] == "airline: ALARM on flights"
    plain = mail.get_body(("plain", "html"))
    assert plain is not None
    assert "%mlprod rollback flights" in plain.get_content()


def test_a_test_message_tells_which_addresses_took_it(hook: Webhook, opened: Opener) -> None:
    result = opened(hook.url(), "json://127.0.0.1:9/x", "nonsense").alerts_test()
    assert [(row.address, row.arrived) for row in result.addresses] == [
        ("json 1", True),
        ("json 2", False),
        ("address 3", False),
    ]
    assert result.exit_code == 1
    assert result.verdict.sentence == "it did not arrive at json 2, address 3."
    assert opened(hook.url()).alerts_test().exit_code == 0
    assert hook.taken[0]["title"] == "airline: a test"


def test_addresses_may_lie_among_the_secrets_of_the_workspace(hook: Webhook, opened: Opener, tmp_path: Path) -> None:
    file = tmp_path / ".mlprod" / "secrets" / "alerts.urls"
    secrets.write_secret(file, f"# who is on duty\n{hook.url()}\n")
    workspace = opened()
    assert [row.address for row in workspace.alerts_test().addresses] == ["json 1"]
    file.chmod(0o644)
    alerts.settle(workspace.context, look("drift=alarm"))
    assert "can be read by others" in workspace.alerts_list().alerts[0].note
    file.chmod(0o600)
    alerts.settle(workspace.context, look("drift=alarm"))
    assert [taken["title"] for taken in hook.taken] == ["airline: a test", "airline: ALARM on flights"]


def test_no_address_is_ever_shown_logged_or_stored(
    hook: Webhook, opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = webhook()
    with refused as other, silent_port() as port:
        other.status = 500
        wrong = [f"slack://{SECRET}/{SECRET}", f"{SECRET}://{SECRET}", f"json://127.0.0.1:{port}/{SECRET}"]
        workspace = opened(hook.url(), other.url(), f"json://{SECRET}@127.0.0.1:9/{SECRET}", *wrong, seconds=0.5)
        alerts.settle(workspace.context, look("drift=alarm"))
        results = (workspace.alerts_test(), workspace.alerts_list(), workspace.status(), workspace.audit_show())
    shown = "".join(str(r) + repr(r) + r.to_json() + r._repr_html_() + r._repr_markdown_() for r in results)
    shown += repr(workspace.context.settings) + json.dumps(workspace.context.settings.to_dict())
    captured = capfd.readouterr()
    assert SECRET not in shown + caplog.text + captured.out + captured.err
    workspace.context.store.close()
    files = [path for path in (tmp_path / ".mlprod").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_settings_that_are_wrong_do_not_show_an_address(opened: Opener, tmp_path: Path) -> None:
    file = tmp_path / "mlprod.toml"
    file.write_text(f'{file.read_text()}\n[alerts]\nurls = ["json://{SECRET}", 7]\nurlz = "json://{SECRET}"\n')
    workspace = Workspace(tmp_path)
    with pytest.raises(UsageError) as caught:
        workspace.status()
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
