"""``/reports/``: the site for readers with the right, by a token or by a browser's session, and its buttons.

Guarantee: a report's page is data. It is shown in a sandbox of an origin of its own, from which neither the session's
cookie nor the approve form can be reached; an approval needs a POST of our own page, with that session's key in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mlprod_nb.access import audit, sessions, tokens
from mlprod_nb.access.rights import Action, allowed
from mlprod_nb.access.tokens import Principal
from mlprod_nb.clock import Clock
from mlprod_nb.errors import AccessDenied, MlprodError, Refused
from mlprod_nb.serving.admission import authorization
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.errors import Unauthenticated, status_of
from mlprod_nb.serving.report_site import files, forms, pages
from mlprod_nb.serving.report_site.pages import Frame, ShownAlert
from mlprod_nb.settings import Settings
from mlprod_nb.store import Store, alerts, approvals, report_index

COOKIE = "mlprod_reports"
#: Under TLS: a browser takes a cookie of this name over TLS alone, so no page of plain HTTP can put in one of its own.
SECURE_COOKIE = f"__Secure-{COOKIE}"
_SHOWN_ALERTS = 20
#: The token that a workspace makes for itself, which names nobody.
_NOBODY = "local"
_ALWAYS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    # Not no-referrer, under which a browser says "Origin: null" of its own page's forms.
    "referrer-policy": "same-origin",
}

logger = logging.getLogger(__name__)


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Reader:
    """Who reads, and the secret of their session; empty where they sent a token."""

    principal: Principal
    session: str = ""


class ReportRoutes:
    """One method a route.

    Args:
        store: The state database.
        root: The workspace's directory.
        settings: The workspace's settings.
        gatekeeper: Checks tokens and rights.
        clock: Gives the present moment.
    """

    def __init__(self, store: Store, root: Path, settings: Settings, gatekeeper: Gatekeeper, clock: Clock) -> None:
        self._store = store
        self._root = root
        self._folder = root / "reports"
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return [
            Route("/reports", self.reports_home, methods=["GET"]),
            Route("/reports/login", self.sign_in_page, methods=["GET"]),
            Route("/reports/login", _told(self.sign_in), methods=["POST"]),
            Route("/reports/logout", _told(self.sign_out), methods=["POST"]),
            Route("/reports/approve", _told(self.approve_report), methods=["POST"]),
            Route("/reports/acknowledge", _told(self.acknowledge_alert), methods=["POST"]),
            Route("/reports/{path:path}", _told(self.report_file), methods=["GET"]),
        ]

    async def reports_home(self, request: Request) -> Response:  # noqa: ARG002
        """Lead to where the cookie is sent."""
        return RedirectResponse("/reports/", headers=_ALWAYS)

    async def sign_in_page(self, request: Request) -> Response:
        """Ask for a token."""
        return _own(pages.sign_in(to=forms.inside(request.query_params.get("to", ""))))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session with a token."""
        secure = forms.of_our_own(request)
        form = await forms.read(request)
        to = forms.inside(form.get("to", ""))
        try:
            secret = await asyncio.to_thread(self._begin, form.get("token", "").strip(), _cookie(request))
        except (Unauthenticated, AccessDenied) as error:
            return _own(pages.sign_in(to=to, problem=str(error)), status_of(error))
        reply = RedirectResponse(to, 303, headers=_ALWAYS)
        reply.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            secret,
            max_age=int(sessions.LASTS.total_seconds()),
            path="/reports/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return reply

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        reader, _ = await self._form_of(request, "read_reports", "logout")
        await asyncio.to_thread(self._end, reader.session)
        reply = RedirectResponse("/reports/login", 303, headers=_ALWAYS)
        for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
            if name in request.cookies:
                reply.delete_cookie(name, path="/reports/", secure=secure, httponly=True, samesite="strict")
        return reply

    async def approve_report(self, request: Request) -> Response:
        """Record an approval, as ``mlprod approve`` does."""
        reader, form = await self._form_of(request, "approve", "approve")
        digest, reason = form.get("digest", ""), forms.reason_in(form)
        record, problem, status = await asyncio.to_thread(self._approve, reader, digest, reason)
        page = f"{Path(record.path).relative_to('reports').as_posix()}/{files.PAGE}"
        if not problem:
            return RedirectResponse(pages.address(page), 303, headers=_ALWAYS)
        return _own(pages.frame(await asyncio.to_thread(self._frame, page, reader, problem)), status)

    async def acknowledge_alert(self, request: Request) -> Response:
        """Record a word on an alert, as ``mlprod alerts acknowledge`` and ``snooze`` do."""
        reader, form = await self._form_of(request, "acknowledge", "alert", about="alert")
        forms.reason_in(form)
        problem, status = await asyncio.to_thread(self._hold, reader, form)
        page = form.get("page", "")
        if not problem:
            return RedirectResponse(pages.address(page), 303, headers=_ALWAYS)
        frame = await asyncio.to_thread(self._frame, page, reader, problem, form)
        return _own(pages.frame(frame), status)

    async def report_file(self, request: Request) -> Response:
        """Show the site, a report in its frame, or a file beside it."""
        reader = await self._reader(request, "read_reports")
        path = request.path_params["path"] or files.PAGE
        content = await asyncio.to_thread(self._read, path)
        if path == files.PAGE:
            from mlprod_nb import site

            return _file(content, path, f"{site.policy()}; frame-ancestors 'none'")
        if path.endswith(f"/{files.PAGE}") and "page" not in request.query_params:
            return _own(pages.frame(await asyncio.to_thread(self._frame, path, reader)))
        return _file(content, path, pages.SANDBOX)

    def _read(self, path: str) -> bytes:
        if path == files.PAGE and not (self._folder / path).is_file():
            self._write_site()
        return files.read(self._folder, path)

    async def _reader(self, request: Request, action: Action) -> Reader:
        """Return who reads.

        Raises:
            Unauthenticated: There is no token and no session, or it has ended.
            AccessDenied: The role may not do this.
        """
        if request.headers.get("authorization"):
            return Reader(await self._gatekeeper.require(authorization(request.headers), action))
        secret = _cookie(request)
        principal = await asyncio.to_thread(self._session, secret)
        if principal is None:
            raise Unauthenticated("reports are for those who signed in.", hint="Sign in at /reports/login.")
        if not allowed(principal.role, action):
            raise AccessDenied(f"the role {principal.role!r} may not {action.replace('_', ' ')}.")
        return Reader(principal, secret)

    async def _form_of(
        self, request: Request, action: Action, purpose: str, *, about: str = "digest"
    ) -> tuple[Reader, Mapping[str, str]]:
        """Return who sent a form of our own pages, and what is in it; its key is for one purpose and one thing."""
        forms.of_our_own(request)
        reader = await self._reader(request, action)
        form = await forms.read(request)
        subject = f"{purpose} {form.get(about, '')}"
        if not (reader.session and sessions.fits(form.get("key", ""), reader.session, subject)):
            raise AccessDenied("the form is not one of this session.", hint="Open the report again, and send it again.")
        return reader, form

    def _begin(self, token: str, before: str) -> str:
        """Begin a session in place of the one before; return its secret.

        Raises:
            Unauthenticated: The token is not valid.
            AccessDenied: Its role may not read reports.
        """
        with self._store.write() as connection:
            holder = tokens.verify(connection, token, now=self._clock())
            if holder is not None and not allowed(holder.role, "read_reports"):
                raise AccessDenied(f"The role {holder.role!r} may not read reports.")
            secret = sessions.begin(connection, token, now=self._clock())
            if secret is None:
                raise Unauthenticated(f"This token {tokens.why_not(connection, token, now=self._clock())}.")
            sessions.end(connection, before, now=self._clock())
            return secret

    def _session(self, secret: str) -> Principal | None:
        with self._store.read() as connection:
            return sessions.verify(connection, secret, now=self._clock())

    def _end(self, secret: str) -> None:
        with self._store.write() as connection:
            sessions.end(connection, secret, now=self._clock())

    def _approve(self, reader: Reader, digest: str, reason: str) -> tuple[report_index.ReportRecord, str, int]:
        """Record an approval; return the report, why it was not approved, and the status."""
        with self._store.read() as connection:
            record = report_index.find(connection, digest)
        actor, now = reader.principal.name, self._clock()
        try:
            _named(actor, "approve")
            with self._store.write() as connection:
                given = approvals.approve(connection, self._root, digest, actor=actor, reason=reason, now=now)
                audit.record(
                    connection, actor=actor, action=approvals.ACTION, subject=given.digest, detail=given.reason, now=now
                )
        except MlprodError as error:
            return record, str(error), status_of(error)
        self._write_site()
        return record, "", 200

    def _hold(self, reader: Reader, form: Mapping[str, str]) -> tuple[str, int]:
        """Record a word on an alert; return why it was not, and the status."""
        actor, now = reader.principal.name, self._clock()
        try:
            _named(actor, "acknowledge an alert")
            with self._store.write() as connection:
                _, given = alerts.hold(
                    connection,
                    int(form["alert"]),  # the form's key vouches for it
                    forms.kind(form),
                    until=form.get("until", ""),
                    actor=actor,
                    reason=form.get("reason", ""),
                    now=now,
                )
                subject = f"alert {form['alert']}"
                audit.record(connection, actor=actor, action="alert hold", subject=subject, detail=str(given), now=now)
        except MlprodError as error:
            return str(error), status_of(error)
        return "", 200

    def _write_site(self) -> None:
        """Write the site anew; what hinders it undoes no approval."""
        from mlprod_nb import site

        title = self._settings.name or self._root.resolve().name
        try:
            site.build(self._store, self._folder, title=title, base=self._settings.alerts.pages)
        except OSError as error:
            logger.warning("the site of the reports cannot be written: %s", error)

    def _frame(self, path: str, reader: Reader, problem: str = "", sent: Mapping[str, str] | None = None) -> Frame:
        place = f"reports/{path.rpartition('/')[0]}"
        leave = sessions.form_key(reader.session, "logout ") if reader.session else ""
        with self._store.read() as connection:
            record = report_index.at_path(connection, place)
            given = tuple(approvals.approvals_of(connection, record.digest)) if record else ()
            endpoint = record.endpoint if record else unquote(path.partition("/")[0])
            void = approvals.void_by(connection, record, reader.principal.name, self._settings) if record else ""
            known = alerts.list_alerts(connection, endpoint=endpoint, only_open=True, limit=_SHOWN_ALERTS + 1)
        key, intact = "", record is not None
        if record is not None and reader.session and allowed(reader.principal.role, "approve"):
            key = sessions.form_key(reader.session, f"approve {record.digest}")
        if record is not None:
            try:
                report_index.verify(self._root, record)
            except MlprodError as error:
                key, intact, problem = (
                    "",
                    False,
                    f"Do not rely on this report: {error.message}".replace(str(self._root), ""),
                )
        shown = tuple(self._shown(one, reader, sent or {}) for one in known[:_SHOWN_ALERTS])
        more = len(known) > _SHOWN_ALERTS
        return Frame(path, record, given, reader.principal.name, key, leave, problem, shown, more, intact, void)

    def _shown(self, alert: alerts.Alert, reader: Reader, sent: Mapping[str, str]) -> ShownAlert:
        may = reader.session and allowed(reader.principal.role, "acknowledge")
        key = sessions.form_key(reader.session, f"alert {alert.id}") if may else ""
        mine = sent if sent.get("alert") == str(alert.id) else {}
        return ShownAlert(alert, alert.state(self._clock()), key, mine)


def _told(handler: Handler) -> Handler:
    """Tell a browser of an error by a page; whoever is not signed in, or no more, is asked to."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except MlprodError as error:
            if "text/html" not in request.headers.get("accept", "") or "page" in request.query_params:
                raise
            if not isinstance(error, Unauthenticated):
                return _own(pages.problem(str(error)), status_of(error))
            if request.method == "GET":
                return _own(pages.sign_in(to=forms.inside(request.url.path)), 401)
            to = forms.inside(urlsplit(request.headers.get("referer", "")).path)
            return _own(pages.sign_in(to=to, problem="You are signed out, and nothing was done."), 401)

    return answer


def _named(actor: str, what: str) -> None:
    """Refuse the token that names nobody.

    Raises:
        Refused: It is that one.
    """
    if actor == _NOBODY:
        hint = "Sign in with a token of your own: mlprod access grant NAME --role reviewer"
        raise Refused(f"the workspace's own token names nobody who could {what}.", hint=hint)


def _cookie(request: Request) -> str:
    """Return the session's secret; over TLS a cookie that plain HTTP could have set is none."""
    plain = "" if request.url.scheme == "https" else request.cookies.get(COOKIE, "")
    return request.cookies.get(SECURE_COOKIE, plain)


def _own(made: tuple[str, str], status: int = 200) -> Response:
    page, policy = made
    return HTMLResponse(page, status, headers=_ALWAYS | {"content-security-policy": policy})


def _file(content: bytes, path: str, policy: str) -> Response:
    name = path.rpartition("/")[2]
    headers = _ALWAYS | {"content-security-policy": policy}
    if not name.endswith((".html", ".xml")) or name == "junit.xml":
        headers["content-disposition"] = f'attachment; filename="{name}"'
    return Response(content, headers=headers, media_type=files.MEDIA[name])
