"""Visits to the gateway's reports: who comes, what is sent, and what it left in the workspace."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from mlprod_nb.access import tokens
from mlprod_nb.clock import utc_now
from mlprod_nb.store import approvals, report_index
from tests.serving.workshop import Workshop, gateway
from tests.store.report_files import written

ADDRESS = "http://gateway"
PLACE = "flights/drift/one"
PAGE = f"/reports/{PLACE}/index.html"
FORM = {"content-type": "application/x-www-form-urlencoded", "origin": ADDRESS}


@pytest.fixture
def reports(shop: Workshop) -> Workshop:
    """A workspace with one report that can be approved."""
    record = written(shop.layout.root, name=f"reports/{PLACE}")
    with shop.store() as store, store.write() as connection:
        report_index.add(connection, record)
    return shop


@asynccontextmanager
async def visitor(shop: Workshop) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that has no token."""
    async with gateway(shop) as client:
        del client.headers["authorization"]
        client.base_url = httpx.URL(ADDRESS)
        yield client


async def sign_in(client: httpx.AsyncClient, token: str, to: str = "/reports/") -> httpx.Response:
    return await client.post("/reports/login", data={"token": token, "to": to}, headers=FORM)


def token_of(shop: Workshop, name: str, role: str = "reviewer") -> str:
    with shop.store() as store, store.write() as connection:
        return tokens.issue(connection, name, role, now=utc_now())


def key_in(page: str) -> str:
    found = re.search(r'action="/reports/approve".*?name="key" value="([0-9a-f]{64})"', page, re.DOTALL)
    assert found, page
    return found.group(1)


def given(shop: Workshop) -> list[approvals.Approval]:
    with shop.store() as store, store.read() as connection:
        record = report_index.at_path(connection, f"reports/{PLACE}")
        assert record is not None
        return approvals.approvals_of(connection, record.digest)


def given_digest(shop: Workshop) -> str:
    with shop.store() as store, store.read() as connection:
        return report_index.list_reports(connection)[0].digest


FORGED = [
    FORM | {"origin": "null"},  # a sandboxed page's
    FORM | {"origin": "https://evil.example"},
    FORM | {"origin": f"{ADDRESS}.evil.example"},
    {"content-type": FORM["content-type"]},
]
