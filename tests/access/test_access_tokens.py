"""Tokens: what is stored, who is recognised, for how long; and the table of rights."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlprod_nb.access import tokens
from mlprod_nb.access.rights import RIGHTS, ROLES, Action, Role, allowed
from mlprod_nb.access.tokens import Principal
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.store import Store

NOW = datetime(2013, 4, 1, 6, tzinfo=UTC)


def issue(store: Store, name: str = "ada", role: str = "caller", expires_at: datetime | None = None) -> str:
    with store.write() as connection:
        return tokens.issue(connection, name, role, now=NOW, expires_at=expires_at)


def verify(store: Store, secret: str, now: datetime = NOW) -> Principal | None:
    with store.read() as connection:
        return tokens.verify(connection, secret, now=now)


def test_a_token_tells_who_holds_it_and_their_role(store: Store) -> None:
    assert verify(store, issue(store)) == Principal("ada", "caller")


def test_a_token_is_mlp_and_43_url_safe_characters_and_never_the_same(store: Store) -> None:
    secrets = {issue(store) for _ in range(50)}
    assert len(secrets) == 50
    assert all(re.fullmatch(r"mlp_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_the_secret_is_nowhere_in_the_database(store: Store, tmp_path: Path) -> None:
    secret = issue(store)
    store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ada" in stored
    assert secret.encode() not in stored
    assert secret.removeprefix("mlp_").encode() not in stored


@pytest.mark.parametrize("secret", ["", "mlp_", "mlp_" + "a" * 43, "mlp_" + "é" * 43, "x" * 10_000, "mlp_' OR 1=1 --"])
def test_what_was_never_issued_is_nobody(store: Store, secret: str) -> None:
    issue(store)
    assert verify(store, secret) is None


def test_one_changed_character_is_nobody(store: Store) -> None:
    secret = issue(store)
    assert verify(store, secret[:-1] + ("A" if secret[-1] != "A" else "B")) is None
    assert verify(store, secret + "\n") is None


def test_a_token_ends_at_its_moment(store: Store) -> None:
    end = NOW + timedelta(hours=1)
    secret = issue(store, expires_at=end)
    assert verify(store, secret, end - timedelta(microseconds=1)) is not None
    assert verify(store, secret, end) is None


def test_revoking_ends_all_tokens_of_a_holder_and_no_other(store: Store) -> None:
    first, second, other = issue(store), issue(store), issue(store, "grace")
    with store.write() as connection:
        assert tokens.revoke(connection, "ada", now=NOW) == 2
        assert tokens.revoke(connection, "ada", now=NOW) == 0
        assert tokens.revoke(connection, "nobody", now=NOW) == 0
    assert verify(store, first) is None
    assert verify(store, second) is None
    assert verify(store, other) == Principal("grace", "caller")


def test_the_list_shows_everything_but_the_secret(store: Store) -> None:
    secret = issue(store, expires_at=NOW + timedelta(days=1))
    with store.read() as connection:
        (found,) = tokens.list_tokens(connection)
    assert (found.name, found.role, found.created_at, found.revoked_at) == ("ada", "caller", NOW, None)
    assert found.expires_at == NOW + timedelta(days=1)
    assert secret not in repr(found)


def test_an_unknown_role_names_the_nearest(store: Store) -> None:
    with pytest.raises(NotFound, match="Did you mean 'operator'"):
        issue(store, role="operater")


def test_a_token_that_would_have_ended_is_refused(store: Store) -> None:
    with pytest.raises(UsageError):
        issue(store, expires_at=NOW)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 101])
def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        issue(store, name)


def test_an_issue_that_is_rolled_back_leaves_no_token(store: Store) -> None:
    with suppress(RuntimeError), store.write() as connection:
        secret = tokens.issue(connection, "ada", "caller", now=NOW)
        raise RuntimeError
    assert verify(store, secret) is None


def test_each_role_may_do_exactly_what_the_table_says() -> None:
    may: dict[Role, set[Action]] = {role: {action for action in RIGHTS if allowed(role, action)} for role in ROLES}
    assert may["viewer"] == {"read_metrics", "read_reports"}
    assert may["caller"] == {"predict", "feedback"}
    assert may["reviewer"] == may["viewer"] | {"approve", "acknowledge"}
    assert may["operator"] == may["viewer"] | may["caller"] | {"deploy", "approve", "acknowledge"}
    assert may["admin"] == set(RIGHTS) == may["operator"] | {"administer"}
