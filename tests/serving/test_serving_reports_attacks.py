"""Attacks on the gateway's pages, by real HTTP on a socket: each is refused, and changes nothing."""

from __future__ import annotations

import html
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest
import sqlalchemy as sa

from mlprod_nb.access import tokens
from mlprod_nb.access.tls import ensure_certificate
from mlprod_nb.clock import utc_now
from mlprod_nb.store import tables
from tests.reports.hostile import HOSTILE
from tests.serving.report_visits import PAGE, given, given_digest, key_in, token_of
from tests.serving.report_visits import reports as reports
from tests.serving.workshop import Workshop, on_a_socket

PLAIN, SECURE = "mlprod_reports", "__Secure-mlprod_reports"


@contextmanager
def browsing(shop: Workshop, *, tls: bool = False) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """Yield a client of a gateway on a socket, and the headers of its own pages' forms."""
    files = ensure_certificate(shop.layout.tls, [], now=utc_now()) if tls else None
    trusted = ssl.create_default_context(cafile=str(files.ca)) if files else True
    with on_a_socket(shop, files) as (url, _), httpx.Client(base_url=url, trust_env=False, verify=trusted) as client:
        yield client, {"content-type": "application/x-www-form-urlencoded", "origin": url}


def enter(client: httpx.Client, form: dict[str, str], token: str, to: str = PAGE) -> httpx.Response:
    reply = client.post("/reports/login", data={"token": token, "to": to}, headers=form)
    assert reply.status_code == 303
    return reply


def test_under_tls_the_cookie_is_one_that_plain_http_can_neither_set_nor_send(reports: Workshop) -> None:
    with browsing(reports, tls=True) as (client, form):
        cookie = enter(client, form, token_of(reports, "bob")).headers["set-cookie"]
        assert cookie.startswith(f"{SECURE}=")
        assert {"secure", "httponly", "samesite=strict", "path=/reports/"} <= set(cookie.lower().split("; "))
        secret = client.cookies[SECURE]
        assert client.get(PAGE).status_code == 200
        client.cookies.clear()
        client.cookies.set(PLAIN, secret)
        assert client.get(PAGE).status_code == 401, "a page of plain HTTP could have set it"


def test_under_tls_a_page_of_plain_http_is_another_origin(reports: Workshop) -> None:
    with browsing(reports, tls=True) as (client, form):
        enter(client, form, token_of(reports, "bob"))
        approval = {"digest": given_digest(reports), "key": key_in(client.get(PAGE).text), "reason": "x"}
        for origin in (form["origin"].replace("https", "http"), "", "https://", "null"):
            assert client.post("/reports/approve", data=approval, headers=form | {"origin": origin}).status_code == 403
        assert not given(reports)
        assert client.post("/reports/approve", data=approval, headers=form).status_code == 303
    assert [one.actor for one in given(reports)] == ["bob"]


def test_behind_a_proxy_that_ends_the_tls_the_cookie_is_for_tls_alone(reports: Workshop) -> None:
    with browsing(reports) as (client, form):
        through = form | {"host": "reports.example", "origin": "https://reports.example"}
        cookie = enter(client, through, token_of(reports, "bob")).headers["set-cookie"]
        assert cookie.startswith(f"{SECURE}=")
        assert "secure" in cookie.lower().split("; ")
        # As a browser sends it over TLS, and the proxy hands it on.
        kept = {"cookie": cookie.partition(";")[0], "host": "reports.example"}
        assert client.get(PAGE, headers=kept).status_code == 200


def test_a_session_that_was_put_into_a_browser_is_not_the_one_that_signing_in_begins(reports: Workshop) -> None:
    with browsing(reports) as (client, form):
        enter(client, form, token_of(reports, "eve"))
        planted = client.cookies[PLAIN]
        client.cookies.clear()
        enter_with = form | {"cookie": f"{PLAIN}={planted}"}
        enter(client, enter_with, token_of(reports, "bob"))
        assert client.cookies[PLAIN] != planted
        client.cookies.clear()
        assert client.get(PAGE, headers={"cookie": f"{PLAIN}={planted}"}).status_code == 401, "it has ended"
        client.cookies.set(PLAIN, "a" * 43)
        assert client.get(PAGE).status_code == 401, "a session of one's own choice is none"


def test_a_form_is_worth_nothing_again_after_signing_out(reports: Workshop) -> None:
    with browsing(reports) as (client, form):
        enter(client, form, token_of(reports, "bob"))
        page = client.get(PAGE).text
        approval = {"digest": given_digest(reports), "key": key_in(page), "reason": "x"}
        cookie = {"cookie": f"{PLAIN}={client.cookies[PLAIN]}"}
        found = re.search(r'action="/reports/logout">\s*<input type="hidden" name="key" value="([0-9a-f]+)"', page)
        assert found
        assert client.post("/reports/logout", data={"key": found[1]}, headers=form).status_code == 303
        assert not client.cookies
        assert client.post("/reports/approve", data=approval, headers=form | cookie).status_code == 401
        enter(client, form, token_of(reports, "bob"))
        assert client.post("/reports/approve", data=approval, headers=form).status_code == 403, "of the session before"
    assert not given(reports)


def test_a_token_that_has_ended_or_was_revoked_or_made_a_callers_takes_its_sessions_along(reports: Workshop) -> None:
    with reports.store() as store, store.write() as connection:
        ending = tokens.issue(connection, "ann", "reviewer", now=utc_now(), expires_at=utc_now() + timedelta(hours=1))
    with browsing(reports) as (client, form):
        for token, change in (
            (ending, {"expires_at": utc_now()}),
            (token_of(reports, "bob"), {"revoked_at": utc_now()}),
            (token_of(reports, "cat"), {"role": "viewer"}),
        ):
            client.cookies.clear()
            enter(client, form, token)
            approval = {"digest": given_digest(reports), "key": key_in(client.get(PAGE).text), "reason": "x"}
            with reports.store() as store, store.write() as connection:
                mine = tables.tokens.c.digest == tokens._digest(token)
                connection.execute(sa.update(tables.tokens).where(mine).values(**change))
            assert client.post("/reports/approve", data=approval, headers=form).status_code in (401, 403)
            if "role" not in change:
                assert client.get(PAGE).status_code == 401
                again = client.post("/reports/login", data={"token": token}, headers=form)
                assert (again.status_code, "set-cookie" in again.headers) == (401, False)
    assert not given(reports)


@pytest.mark.parametrize(
    "to", ["/reports/\r\nset-cookie: a=b", "/reports/%0d%0aset-cookie: a=b", "/reports/\0", "/reports/ü"]
)
def test_no_address_that_is_asked_for_becomes_a_header(reports: Workshop, to: str) -> None:
    with browsing(reports) as (client, form):
        reply = client.post(
            "/reports/login", data={"token": token_of(reports, "bob"), "to": f"/reports/{to}"}, headers=form
        )
        assert reply.status_code in (303, 400)
        assert "a" not in client.cookies
        assert "\n" not in reply.headers.get("location", "")


@pytest.mark.parametrize("fields", [{"reason": "a\0b"}, {"digest": "\0" * 64}, {"key": "ü" * 64}, {"digest": "%"}])
def test_a_naughty_field_is_refused_and_is_no_fault_of_the_gateway(reports: Workshop, fields: dict[str, str]) -> None:
    with browsing(reports) as (client, form):
        enter(client, form, token_of(reports, "bob"))
        approval = {"digest": given_digest(reports), "key": key_in(client.get(PAGE).text), "reason": "x"}
        assert client.post("/reports/approve", data=approval | fields, headers=form).status_code in (400, 403)
    assert not given(reports)


@pytest.mark.parametrize("path", ["../mlprod.toml", "%2e%2e/mlprod.toml", "..%5cmlprod.toml", "a/../../mlprod.toml"])
def test_no_path_of_the_raw_address_leads_out_of_the_reports(reports: Workshop, path: str) -> None:
    with browsing(reports) as (client, form):
        enter(client, form, token_of(reports, "bob"))
        address = client.base_url.copy_with(raw_path=f"/reports/{path}".encode())
        reply = client.send(httpx.Request("GET", address, headers={"cookie": f"{PLAIN}={client.cookies[PLAIN]}"}))
        assert reply.status_code == 404
        assert "[gateway]" not in reply.text


class Elements(HTMLParser):
    """Which elements a page has, with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.found |= {f"@{name}" for name, _ in attrs}


def test_a_naughty_name_reason_or_sentence_is_shown_and_makes_no_element(reports: Workshop) -> None:
    digest = given_digest(reports)
    with browsing(reports) as (client, form):
        enter(client, form, token_of(reports, "bob"))
        with reports.store() as store, store.write() as connection:
            row = {"report_digest": digest, "actor": "ann", "reason": "plain", "at": utc_now()}
            connection.execute(sa.insert(tables.approvals).values(row))
        plain = Elements(client.get(PAGE).text).found
        naughty = [text for text in HOSTILE if "\0" not in text and text.isprintable()]
        with reports.store() as store, store.write() as connection:
            rows = [row | {"actor": text[:200], "reason": text} for text in naughty]
            connection.execute(sa.insert(tables.approvals), rows)
        page = client.get(PAGE).text
        assert Elements(page).found == plain
        assert all(html.escape(text) in page for text in naughty)
        assert len(naughty) > 100
