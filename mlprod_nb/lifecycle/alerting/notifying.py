"""Telling people of alerts through apprise: e-mail, chat, webhooks.

An address holds its secret, so it is never shown: it is known by its kind and place, as ``slack 2``, and of what goes
wrong with it only what cannot repeat the address. What did not arrive is kept, said in the status and sent again by the
next look.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Verdict, counted
from mlprod_nb.settings.base import Secret
from mlprod_nb.store import actions, alerts, notices
from mlprod_nb.store.actions import Action
from mlprod_nb.store.alerts import Alert
from mlprod_nb.store.notices import Notice

SECRETS_FILE = "alerts.urls"
_KIND = re.compile(r"([a-z][a-z0-9]{0,19})://", re.IGNORECASE)
#: What a retraining that is done names first.
_VERSION = re.compile(r"[^\s/]+/[0-9]+")
_STATUS = re.compile(r"error=(\d{3})\b")
_MUTED = ("apprise", "urllib3")
_TYPES = {"alarm": "failure", "warn": "warning"}
_TITLES = {
    "raised": "{status} on {endpoint}",
    "still open": "still open: {status} on {endpoint}",
    "recovered": "recovered: {endpoint}",
    "done": "done on {endpoint}",
    "failed": "failed on {endpoint}",
    "left alone": "left alone: {endpoint}",
}


@dataclass(frozen=True)
class Address:
    """Where alerts go.

    Attributes:
        name: Its kind and place, which may be shown.
        url: What apprise takes.
    """

    name: str
    url: Secret


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        title: One line.
        body: The lines below it.
        kind: apprise's word: info, success, warning or failure.
    """

    title: str
    body: str
    kind: str


@dataclass(frozen=True)
class Arrival:
    """How a message to one address fared.

    Attributes:
        address: Its kind and place.
        arrived: Whether it was taken.
        problem: What went wrong, or empty.
    """

    address: str
    arrived: bool
    problem: str


@dataclass(frozen=True)
class TestSent(Result):
    """What became of a message to every address.

    Attributes:
        verdict: Whether it arrived everywhere.
        addresses: One row an address.
    """

    verdict: Verdict
    addresses: tuple[Arrival, ...]
    __test__: ClassVar[bool] = False  # no test class of pytest's


@dataclass(frozen=True)
class SentResult(Result):
    """What waited was sent.

    Attributes:
        verdict: Whether it arrived everywhere.
        waited: How many notices waited.
        unsent: How many wait still.
    """

    verdict: Verdict
    waited: int
    unsent: int


def send_waiting(context: Context) -> SentResult:
    """Send what waits, and say what still does."""
    with context.store.read() as connection:
        before = len(notices.waiting(connection))
    deliver(context)
    with context.store.read() as connection:
        left = notices.waiting(connection)
    if not left:
        verdict = Verdict("ok", f"{counted(before, 'notice')} sent." if before else "nothing waited to be sent.")
    else:
        verdict = Verdict("alarm", f"{counted(len(left), 'notice')} did not arrive everywhere: {left[0].problem}.")
    return SentResult(verdict, before, len(left))


def test(context: Context) -> TestSent:
    """Send a message to every address."""
    name = context.settings.name or context.root.name
    text = f"Alerts of the workspace {name!r} arrive here. This is a test; nothing is wrong."
    known = addresses(context)
    if not known:
        hint = "no address is set: put one a line into .mlprod/secrets/alerts.urls, or into MLPROD_ALERTS__URLS."
        return TestSent(Verdict("warn", hint), ())
    found = send(known, Message(f"{name}: a test", text, "info"), context.settings.alerts.timeout_seconds)
    with context.store.write() as connection:
        context.audit(connection, "alert test", _names(known))
    lost = [row.address for row in found if not row.arrived]
    sentence = f"it did not arrive at {', '.join(lost)}." if lost else f"it arrived: {_names(known)}."
    return TestSent(Verdict("alarm" if lost else "ok", sentence), found)


def addresses(context: Context) -> tuple[Address, ...]:
    """Return where alerts go: what the settings name, and then the file among the workspace's secrets.

    Raises:
        Refused: Others can read the file.
    """
    from mlprod_nb.access import secrets

    file = context.layout.secrets / SECRETS_FILE
    lines = secrets.read_secret(file).splitlines() if file.is_file() else []
    kept = [Secret(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    urls = [*context.settings.alerts.urls, *kept]
    return tuple(Address(f"{_kind(url)} {place}", url) for place, url in enumerate(urls, 1))


def deliver(context: Context) -> None:
    """Send every notice that did not arrive yet; what goes wrong is kept with it, never raised."""
    with context.store.read() as connection:
        found = notices.waiting(connection)
    for notice in found:
        with context.store.write() as connection:
            if not notices.claim(connection, notice.id, now=context.clock()):
                continue
            alert = alerts.find(connection, notice.alert)
        arrived, problem = set(notice.arrived), ""
        try:
            known = [address for address in addresses(context) if address.name not in arrived]
            rows = send(known, message(context, alert, notice), context.settings.alerts.timeout_seconds)
            arrived |= {row.address for row in rows if row.arrived}
            problem = "; ".join(f"{row.address}: {row.problem}" for row in rows if not row.arrived)
        except MlprodError as error:
            problem = str(error)
        with context.store.write() as connection:
            notices.settle(connection, notice.id, arrived, problem)


def unsent(context: Context) -> dict[int, str]:
    """Return of each alert that is not told everywhere what went wrong."""
    with context.store.read() as connection:
        return {notice.alert: notice.problem for notice in notices.waiting(connection) if notice.problem}


def message(context: Context, alert: Alert, notice: Notice) -> Message:
    """Write what people need: the verdict, the cause, the report's link and the line to run next."""
    said, name = alert.said, context.settings.name or context.root.name
    title = _TITLES[notice.event].format(status=said.status.upper(), endpoint=said.endpoint)
    lines = [notice.detail, f"Alert {alert.id}, {said.status}: {said.sentence}"]
    lines.append(f"Cause: {', '.join(cause for cause, _ in alert.causes)}")
    lines.append(f"Report: {_link(context, said.page)}" if said.page else "")
    if notice.event != "recovered":
        lines.append(f"Next: {next_line(alert, _action(context, alert))}")
        lines.append(f'Or: %mlprod alerts acknowledge {alert.id} --reason "…"')
    kind = "success" if notice.event in ("recovered", "done") else _TYPES.get(said.status, "info")
    return Message(f"{name}: {title}", "\n".join(line for line in lines if line), kind)


def next_line(alert: Alert, action: Action | None) -> str:
    """Return the exact line to run next: a challenger that was trained is looked at rather than trained again."""
    done = action is not None and (action.kind, action.state) == ("retrain", "done")
    trained = _VERSION.search(action.detail) if action is not None and done else None
    return f"%mlprod check {trained[0]}" if trained else alert.said.action


def _action(context: Context, alert: Alert) -> Action | None:
    with context.store.read() as connection:
        return actions.of(connection, [alert.id]).get(alert.id)


def send(known: Sequence[Address], text: Message, seconds: float) -> tuple[Arrival, ...]:
    """Send a message to addresses, all at once and within a limit."""
    problems = {address.name: f"no answer within {seconds:g} s" for address in known}

    def one(address: Address) -> None:
        problems[address.name] = _send(address.url, text, seconds)

    with _muted():
        _load()
        # Daemons: an address that never answers must not keep the process from ending.
        threads = [threading.Thread(target=one, args=(address,), daemon=True) for address in known]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    # A copy: a thread that is late may still write.
    told = dict(problems)
    return tuple(Arrival(address.name, not told[address.name], told[address.name]) for address in known)


def _load() -> None:
    """Load apprise's plug-ins, some of which import what Python will give up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import apprise

        apprise.Apprise.instantiate("json://localhost")


def _send(url: Secret, text: Message, seconds: float) -> str:
    """Send to one address; return what went wrong, or nothing."""
    import apprise

    heard = _Statuses()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    try:
        asset = apprise.AppriseAsset(app_id="mlprod", app_desc="mlprod", async_mode=False)
        service = apprise.Apprise.instantiate(url.value, asset=asset)
        if service is None:
            return "apprise does not know such an address"
        service.socket_connect_timeout = service.socket_read_timeout = seconds
        if service.notify(body=text.body, title=text.title, notify_type=text.kind):
            return ""
    except Exception as error:  # noqa: BLE001 (a plug-in of apprise raises anything; its text may hold the address)
        return f"it failed ({type(error).__name__})"
    finally:
        logger.removeHandler(heard)
    return f"it was refused with HTTP {heard.status}" if heard.status else "it could not be reached, or refused"


class _Statuses(logging.Handler):
    """Hears which HTTP status apprise met, from this thread, and nothing else of what it says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            with suppress(Exception):
                met = _STATUS.search(record.getMessage())
                self.status = met[1] if met else self.status


@contextmanager
def _muted() -> Iterator[None]:
    """Keep the libraries below from logging addresses, whatever the process logs."""
    loggers = [logging.getLogger(name) for name in _MUTED]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagated in zip(loggers, before, strict=True):
            logger.propagate = propagated


def _names(known: Sequence[Address]) -> str:
    return ", ".join(address.name for address in known)


def _kind(url: Secret) -> str:
    found = _KIND.match(url.value)
    return found[1].lower() if found else "address"


def _link(context: Context, page: str) -> str:
    base = context.settings.alerts.pages
    return f"{base.rstrip('/')}/{page}" if base else str(context.root / page)
