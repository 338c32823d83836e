"""The gateway's own pages around reports: signing in, and the frame that a report is read and approved in.

The report itself stands in a sandboxed frame of an origin of its own. It runs no script, reaches no form of the page
around it and sends no cookie, whatever is written in it. A table is sorted in the file, which an unaltered report can
be saved as.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from urllib.parse import quote

from mlprod_nb.store.alerts import Alert, State
from mlprod_nb.store.approvals import Approval
from mlprod_nb.store.report_index import SHORT, ReportRecord

#: What a report's page may do in its frame: be shown. Nothing runs, nothing is loaded, nothing is sent. Were scripts
#: allowed, if only the one that sorts tables, a page could lead its reader elsewhere by itself too (``refresh``).
SANDBOX = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
LONGEST_REASON = 2000
_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d1f23; --soft: #5b6069; --line: #c9c6bf; --page: #fbfaf8; --card: #fff; --mark: #0b5cad; --bad: #b91c2c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e7e9; --soft: #a0a6ae; --line: #454b52; --page: #131517; --card: #1a1d20; --mark: #7db7f0; --bad: #ff8089;
  }
}
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page) }
body.framed { display: flex; flex-direction: column; height: 100vh }
.bar {
  display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; padding: .6rem 1.2rem;
  border-bottom: 1px solid var(--line); background: var(--card); flex-shrink: 0; max-height: 60vh; overflow: auto;
}
.bar p, .bar ul { margin: 0 } .bar ul { padding: 0; list-style: none }
.bar .grow { flex: 1 1 9rem } .soft { color: var(--soft) }
.bar form { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: center }
.bar label, .bar > a, .bar > .soft { white-space: nowrap }
.printed { display: none }
@media (min-width: 60rem) { .bar form { flex-wrap: nowrap } }
@media (min-width: 80rem) { .bar { flex-wrap: nowrap } }
@media print { .bar form, .alerts { display: none } .printed { display: block; margin: 0; padding: .6rem 1.2rem } }
.alerts {
  border-bottom: 1px solid var(--line); background: var(--card); padding: .5rem 1.2rem;
  max-height: 50vh; overflow: auto;
}
.alerts summary { cursor: pointer } .alerts ul { margin: .4rem 0 0; padding: 0; list-style: none }
.alerts li { padding: .5rem 0; border-top: 1px solid var(--line) } .alerts li p { margin: 0 0 .4rem }
.alerts form { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: end }
.alerts label { white-space: nowrap }
.wrong { color: var(--bad); font-weight: 600; flex-basis: 100% } .done { font-weight: 600 }
.void { flex: 1 1 16rem }
.framed main { flex: 1; display: flex; min-height: 50vh } .framed h1 { font: inherit; margin: 0 }
iframe { flex: 1; border: 0; background: var(--page) }
.asks { max-width: 30rem; margin: 12vh auto; padding: 0 1.2rem }
label { display: block } input, button {
  font: inherit; color: inherit; background: var(--page); border: 1px solid var(--soft); border-radius: 6px;
  padding: .35rem .7rem;
}
input { min-width: 0; width: min(100%, 19rem) } button { cursor: pointer; white-space: nowrap }
button.main { background: var(--mark); border-color: var(--mark); color: var(--page); font-weight: 600 }
a { color: var(--mark) } :focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
code { font: .87em ui-monospace, monospace }
"""


@dataclass(frozen=True)
class ShownAlert:
    """An alert of the endpoint that a report is about.

    Attributes:
        alert: The alert.
        state: open, acknowledged or snoozed.
        key: The form's key for a word on it; empty where the reader may say none.
        sent: The form as it was sent and refused, so that nothing is written twice; empty otherwise.
    """

    alert: Alert
    state: State
    key: str
    sent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """What the page around a report shows.

    Attributes:
        page: Where the report's page lies, in the folder of reports.
        record: The report in the index; ``None`` where it came to no verdict, so that there is nothing to approve.
        approvals: Who approved it.
        reader: Who reads.
        key: The form's key for approving; empty where the reader may not approve, or not here.
        leave_key: The form's key for signing out; empty where a token was sent instead of a cookie.
        problem: Why it cannot be approved, or what was asked was not done.
        alerts: The endpoint's alerts that are not over, the newest first.
        more_alerts: Whether there are older ones, too.
        intact: Whether the report's files are what its digest covers.
        void: Which protected aliases the reader's approval does not count for, and why; empty where it may.
    """

    page: str
    record: ReportRecord | None
    approvals: tuple[Approval, ...] = field(default=())
    reader: str = ""
    key: str = ""
    leave_key: str = ""
    problem: str = ""
    alerts: tuple[ShownAlert, ...] = field(default=())
    more_alerts: bool = False
    intact: bool = False
    void: str = ""


def sign_in(*, to: str, problem: str = "") -> tuple[str, str]:
    """Return the page that asks for a token, and its content security policy.

    Args:
        to: Where the reader goes afterwards.
        problem: Why the last try failed.
    """
    wrong = f'<p class="wrong" role="alert">{_text(problem)}</p>' if problem else ""
    body = f"""<body><main class="asks"><h1>Reports</h1>{wrong}
<form method="post" action="/reports/login"><input type="hidden" name="to" value="{_text(to)}">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus></p>
<p><button class="main">Sign in</button></p></form>
<p class="soft">You have it from whoever runs this workspace: <code>mlprod access grant NAME --role viewer</code>,
or <code>--role reviewer</code> to approve and to answer alerts. It is not kept in the browser.</p>
</main></body></html>"""
    return _page("Sign in to read reports", body, frames="'none'")


def problem(sentence: str) -> tuple[str, str]:
    """Return the page that says what went wrong, and its content security policy."""
    body = f"""<body><main class="asks"><h1>Reports</h1><p class="wrong" role="alert">{_text(sentence)}</p>
<p><a href="/reports/">All reports</a></p></main></body></html>"""
    return _page("Reports: an error", body, frames="'none'")


def address(page: str) -> str:
    """Return where a page of the folder of reports is served."""
    return f"/reports/{quote(page)}"


def frame(shown: Frame) -> tuple[str, str]:
    """Return the page around a report, and its content security policy."""
    record = shown.record
    name = f"{record.kind} of {record.endpoint}" if record else "report that came to no verdict"
    digest = f' <code title="{record.digest}">{record.digest[:SHORT]}</code>' if record else ""
    body = f"""<body class="framed"><header class="bar"><a href="/reports/">All reports</a>
<h1 class="grow"><bdi>{_text(name)}</bdi>{digest}</h1>{_given(shown)}{_save(shown)}
{_leave(shown)}{_form(shown)}</header>
{_printed(shown)}
{_alerts(shown)}
<main><iframe sandbox title="The report: {_text(name)}" src="{_text(address(shown.page))}?page"></iframe></main>
</body></html>"""
    return _page(f"Report: {name}", body, frames="'self'")


def _given(shown: Frame) -> str:
    if shown.record is None:
        return '<p class="soft">Nothing was concluded, so there is nothing to approve.</p>'
    if not shown.approvals:
        return '<p class="soft">no approvals</p>'
    rows = "".join(
        f"<li>Approved by <b><bdi>{_text(one.actor)}</bdi></b> {one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC:"
        f" <bdi>{_text(one.reason)}</bdi></li>"
        for one in shown.approvals
    )
    return f'<ul aria-label="Approvals">{rows}</ul>'


def _save(shown: Frame) -> str:
    """Offer the report as a file, outside of its sandbox; none that was altered, or that nothing vouches for."""
    if shown.record is None or not shown.intact:
        return ""
    name = f"{shown.record.kind}-{shown.record.digest[:SHORT]}.html"
    href = f"{_text(address(shown.page))}?page"
    return f'<a href="{href}" download="{_text(name)}" title="In the file, a click sorts a table">Save as a file</a>'


def _printed(shown: Frame) -> str:
    """Say, on paper alone, that a frame is printed only as far as the window shows it."""
    saved = "choose “Save as a file” and print that file"
    how = saved if _save(shown) else "add ?page to its address and print that page"
    return f'<p class="printed">This is only the beginning of the report. To print it whole, {how}.</p>'


def _form(shown: Frame) -> str:
    wrong = f'<p class="wrong" role="alert">{_text(shown.problem)}</p>' if shown.problem else ""
    if shown.record is None or not shown.key:
        return wrong
    void = f'<p class="void"><bdi>{_text(shown.void)}</bdi></p>' if shown.void else ""
    if any(one.actor == shown.reader for one in shown.approvals):
        return f'{wrong}<p class="done">You approved it.</p>{void}'
    return f"""{wrong}{void}<form method="post" action="/reports/approve">
<input type="hidden" name="digest" value="{shown.record.digest}"><input type="hidden" name="key" value="{shown.key}">
<label for="reason">Why you approve</label>
<input id="reason" name="reason" required maxlength="{LONGEST_REASON}" autocomplete="off">
<button class="main">Approve as <bdi>{_text(shown.reader)}</bdi></button></form>"""


def _alerts(shown: Frame) -> str:
    if not shown.alerts:
        return ""
    states = [one.state for one in shown.alerts]
    counts = [f"{states.count(state)} {state}" for state in ("open", "acknowledged", "snoozed") if state in states]
    rows = "".join(_alert(shown.page, one) for one in shown.alerts)
    unfolded = " open" if any(one.sent for one in shown.alerts) else ""
    which, rest = "Alerts of this endpoint", ""
    if shown.more_alerts:
        which = f"The newest {len(shown.alerts)} alerts of this endpoint"
        rest = '<p class="soft">There are older ones that are not over: <code>mlprod alerts list</code></p>'
    return f"""<aside aria-label="Alerts"><details class="alerts"{unfolded}>
<summary>{which}: {", ".join(counts)}</summary><ul>{rows}</ul>{rest}</details></aside>"""


def _alert(page: str, shown: ShownAlert) -> str:
    alert = shown.alert
    causes = ", ".join(alert.open_causes)
    held = f"<p><bdi>{_text(str(alert.hold))}</bdi></p>" if alert.hold and shown.state != "open" else ""
    return f"""<li><p><b>Alert {alert.id}, {shown.state}</b>: <bdi>{_text(causes)}</bdi>,
since {alert.raised_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC. <bdi>{_text(alert.said.sentence)}</bdi></p>{held}
{_hold_form(page, shown)}</li>"""


def _hold_form(page: str, shown: ShownAlert) -> str:
    if not shown.key:
        return ""
    number, sent = shown.alert.id, shown.sent
    return f"""<form method="post" action="/reports/acknowledge" aria-label="Alert {number}">
<input type="hidden" name="alert" value="{number}"><input type="hidden" name="key" value="{shown.key}">
<input type="hidden" name="page" value="{_text(page)}">
<label>Why<br><input name="reason" required maxlength="{LONGEST_REASON}" autocomplete="off"
value="{_text(sent.get("reason", ""))}"></label>
<label>Until<br><input name="until" size="20" maxlength="60" autocomplete="off" placeholder="3 days or 2026-12-31"
value="{_text(sent.get("until", ""))}"></label>
<button name="kind" value="acknowledged" class="main">Acknowledge</button>
<button name="kind" value="snoozed">Snooze</button>
<span class="soft">To acknowledge, until when may stay empty: as long as it is open. A snooze needs an end.</span>
</form>"""


def _leave(shown: Frame) -> str:
    if not shown.leave_key:
        return ""
    return f"""<form method="post" action="/reports/logout">
<input type="hidden" name="key" value="{shown.leave_key}"><button>Sign out</button></form>"""


def _page(title: str, body: str, *, frames: str) -> tuple[str, str]:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; frame-src {frames}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    head = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{_text(title)}</title>
<style nonce="{nonce}">{_STYLE}</style></head>
"""
    return head + body, policy


def _text(value: str) -> str:
    return html.escape(value)
