"""Forms of the gateway's own pages: who sent one, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from mlprod_nb.errors import AccessDenied, NotFound
from mlprod_nb.serving.errors import MalformedRequest, TooLarge
from mlprod_nb.serving.report_site import pages
from mlprod_nb.store import alerts
from mlprod_nb.store.alerts import HoldKind

_LARGEST_FORM = 16 * 1024


def of_our_own(request: Request) -> bool:
    """Refuse a form that another origin, or a sandboxed page, sends; return whether the browser uses TLS.

    A page of plain HTTP is another origin than a gateway under TLS. The other way round, a proxy before the gateway may
    end the TLS.

    Raises:
        AccessDenied: Another did.
    """
    origin = urlsplit(request.headers.get("origin", ""))
    schemes = ("https",) if request.url.scheme == "https" else ("http", "https")
    if origin.scheme not in schemes or origin.netloc != request.headers.get("host", ""):
        raise AccessDenied("the form comes from another page than the gateway's own.")
    return origin.scheme == "https"


async def read(request: Request) -> Mapping[str, str]:
    """Return a form's fields.

    Raises:
        MalformedRequest: It is none.
        TooLarge: It is larger than any of ours.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise MalformedRequest("the body is no form.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise TooLarge(f"the form is larger than {_LARGEST_FORM} bytes.")
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=16, errors="strict"))
    except ValueError:
        raise MalformedRequest("the form is malformed.") from None
    if any("\0" in value for value in form.values()):  # which no Postgres keeps
        raise MalformedRequest("the form is malformed.")
    return form


def inside(address: str) -> str:
    """Return an address of ours to go to; whatever else was asked for, the site."""
    return address if address.startswith("/reports/") and "\\" not in address else "/reports/"


def kind(form: Mapping[str, str]) -> HoldKind:
    """Return which word on an alert a form gives.

    Raises:
        NotFound: It is none of ours.
    """
    found = next((kind for kind in alerts.HOLDS if kind == form.get("kind")), None)
    if found is None:
        raise NotFound("word on an alert", form.get("kind", ""), alerts.HOLDS)
    return found


def reason_in(form: Mapping[str, str]) -> str:
    """Return the reason that a form gives.

    Raises:
        MalformedRequest: It is too long.
    """
    reason = form.get("reason", "")
    if len(reason) > pages.LONGEST_REASON:
        raise MalformedRequest(f"a reason has at most {pages.LONGEST_REASON} characters.")
    return reason
