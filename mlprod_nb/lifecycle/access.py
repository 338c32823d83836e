"""Who may do what: tokens, and the audit trail of what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlprod_nb.clock import parse_duration
from mlprod_nb.errors import NotFound
from mlprod_nb.lifecycle.context import LOCAL_TOKEN, Context
from mlprod_nb.results import Result, Verdict, counted


@dataclass(frozen=True)
class GrantResult(Result):
    """A token was made; the file holds it, nothing else does.

    Attributes:
        name: Whom it is for.
        role: viewer, reviewer, caller, operator or admin.
        file: Where the token is, readable by you alone.
        expires_at: When it ends, or ``None``.
    """

    name: str
    role: str
    file: str
    expires_at: datetime | None

    def headline(self) -> str:
        """Say where it is."""
        return f"The {self.role} token of {self.name!r} is in {self.file}; hand it over and delete the file."


@dataclass(frozen=True)
class RevokeResult(Result):
    """Tokens were revoked.

    Attributes:
        name: Whose.
        revoked: How many.
    """

    name: str
    revoked: int

    def headline(self) -> str:
        """Say how many."""
        return f"Revoked {counted(self.revoked, 'token')} of {self.name!r}."


@dataclass(frozen=True)
class TokenRow:
    """One token, without its secret.

    Attributes:
        name: Whom it is for.
        role: viewer, reviewer, caller, operator or admin.
        created_at: When it was made.
        expires_at: When it ends, or ``None``.
        revoked_at: When it was revoked, or ``None``.
    """

    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class TokensResult(Result):
    """Who holds tokens.

    Attributes:
        tokens: One row a token.
        in_force: How many of them are neither revoked nor expired.
    """

    tokens: tuple[TokenRow, ...]
    in_force: int
    _hidden: ClassVar[tuple[str, ...]] = ("in_force",)

    def headline(self) -> str:
        """Say how many are in force."""
        return f"{counted(self.in_force, 'token')} in force."


@dataclass(frozen=True)
class AuditRow:
    """One entry of the audit trail.

    Attributes:
        at: When.
        actor: Who.
        action: What was done.
        subject: To what.
        detail: More about it.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True)
class AuditResult(Result):
    """The newest entries of the audit trail.

    Attributes:
        entries: Newest first.
    """

    entries: tuple[AuditRow, ...]
    _frame_field: ClassVar[str] = "entries"

    def headline(self) -> str:
        """Say how many are shown."""
        shown = "1 entry" if len(self.entries) == 1 else f"{len(self.entries):,} entries"
        return f"{shown} of the audit trail, newest first."


@dataclass(frozen=True)
class VerifyResult(Result):
    """Whether the audit trail is whole.

    Attributes:
        verdict: Whether every entry's digest follows from the one before.
        entries: How many were verified.
        head: The last entry's digest: keep it elsewhere to prove later that nothing was cut off.
    """

    verdict: Verdict
    entries: int
    head: str


def grant(context: Context, name: str, *, role: str, expires: str) -> GrantResult:
    """Make a token and write it to a file that only its owner can read."""
    from mlprod_nb.access import secrets, tokens

    now = context.clock()
    expires_at = now + parse_duration(expires) if expires else None
    file = context.layout.secrets / f"{_file_name(name)}.token"
    with context.store.write() as connection:
        secret = tokens.issue(connection, name, role, now=now, expires_at=expires_at)
        context.audit(connection, "grant", name, role)
        secrets.write_secret(file, secret)
    return GrantResult(name, role, str(file), expires_at)


def revoke(context: Context, name: str) -> RevokeResult:
    """Revoke all tokens of a holder.

    Raises:
        NotFound: No token of that holder is in force.
    """
    from mlprod_nb.access import tokens

    with context.store.write() as connection:
        count = tokens.revoke(connection, name, now=context.clock())
        if not count:
            raise NotFound(
                "token in force for", name, {t.name for t in tokens.list_tokens(connection) if not t.revoked_at}
            )
        context.audit(connection, "revoke", name, counted(count, "token"))
    if name != LOCAL_TOKEN.removesuffix(".token"):
        (context.layout.secrets / f"{_file_name(name)}.token").unlink(missing_ok=True)
    return RevokeResult(name, count)


def list_tokens(context: Context) -> TokensResult:
    """List tokens without their secrets."""
    from mlprod_nb.access import tokens

    with context.store.read() as connection:
        held = tokens.list_tokens(connection)
    now = context.clock()
    in_force = sum(one.revoked_at is None and (one.expires_at is None or one.expires_at > now) for one in held)
    rows = tuple(TokenRow(t.name, t.role, t.created_at, t.expires_at, t.revoked_at) for t in held)
    return TokensResult(rows, in_force)


def audit_show(context: Context, limit: int) -> AuditResult:
    """Show the newest entries."""
    from mlprod_nb.access import audit

    with context.store.read() as connection:
        entries = audit.show(connection, limit)
    return AuditResult(tuple(AuditRow(e.at, e.actor, e.action, e.subject, e.detail) for e in entries))


def audit_verify(context: Context, *, head: str) -> VerifyResult:
    """Verify the hash chain, and that it still holds a head that was kept elsewhere."""
    from mlprod_nb.access import audit

    with context.store.read() as connection:
        trail = audit.verify(connection, anchor=head.strip())
        newest = audit.head(connection)
    sentence = "the audit trail is whole." if trail.ok else trail.problem
    return VerifyResult(Verdict("ok" if trail.ok else "alarm", sentence), trail.entries, newest)


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in name)
