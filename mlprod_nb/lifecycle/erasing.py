"""A person's rows are erased from the prediction log; the audit trail keeps who did, when, how many and why."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.logs import check_endpoint
from mlprod_nb.private_files import make_private, read_private
from mlprod_nb.results import Result, counted

if TYPE_CHECKING:
    import sqlalchemy as sa

    from mlprod_nb.prediction_log.erasing import Erased

KEY = "erasure.key"
_KEY_BYTES = 32


@dataclass(frozen=True)
class Erasure:
    """What :meth:`mlprod_nb.Workspace.erase` takes."""

    endpoint: str
    unit: str
    prediction_ids: str
    reason: str
    yes: bool
    dry_run: bool


@dataclass(frozen=True)
class EraseResult(Result):
    """What was erased, or would be.

    Attributes:
        endpoint: The endpoint's name.
        predictions: How many predictions, shadows included.
        feedback: How many pieces of feedback about them.
        files: How many files had them.
        not_searched: Segments that were put aside as damaged, which may have some: remove them by hand.
        dry_run: Whether nothing was changed.
    """

    endpoint: str
    predictions: int
    feedback: int
    files: int
    not_searched: tuple[str, ...]
    dry_run: bool
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "dry_run")

    def headline(self) -> str:
        """Say how much."""
        what = f"{counted(self.predictions, 'prediction')} of {self.endpoint!r} and "
        what += f"{counted(self.feedback, 'piece')} of feedback in {counted(self.files, 'file')}"
        return f"{what} {'would be erased (dry run, nothing changed)' if self.dry_run else 'are erased'}."


def erase(context: Context, given: Erasure) -> EraseResult:
    """Compact what is sealed, and erase the rows of a unit, or some predictions.

    Raises:
        UsageError: Neither or both are named, or no reason is given.
        Refused: Some of the rows are in a segment that is still written; nothing was erased.
    """
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.compaction import Compactor
    from mlprod_nb.prediction_log.erasing import Eraser, Sought
    from mlprod_nb.prediction_log.keys import LogKeys

    ids = tuple(filter(None, (one.strip() for one in given.prediction_ids.split(","))))
    if bool(given.unit) == bool(ids):
        raise UsageError("an erasure needs either --unit or --prediction-ids.")
    check_endpoint(context, given.endpoint)
    catalogue, keys = Catalogue(context.store), LogKeys.of(context.layout, context.settings.log)
    sought, eraser = Sought(given.endpoint, given.unit, ids), Eraser(context.layout.log, catalogue, keys=keys)
    if given.dry_run:
        return _result(given, eraser.count(sought))
    if not given.reason:
        raise UsageError("an erasure needs a --reason.", hint="The audit trail keeps it; leave the person's name out.")
    context.change()
    context.confirm(f"Erase these rows of {given.endpoint!r} for ever?", yes=given.yes)
    if Compactor(context.layout.log, catalogue, clock=context.clock, keys=keys).run().busy:
        raise Refused("another process compacts the prediction log just now.", hint="Try again in a minute.")
    whose = _named(context, given.unit or ",".join(sorted(ids)))

    def note(connection: sa.Connection, erased: Erased) -> None:
        rows = f"{erased.predictions} predictions, {erased.feedback} feedback in {erased.files} files"
        named = "unit" if given.unit else "ids"
        context.audit(
            connection, "erase", given.endpoint, f"{rows}; HMAC-SHA-256 of the {named} {whose}: {given.reason}"
        )

    return _result(given, eraser.erase(sought, now=context.clock(), also=note))


def _named(context: Context, text: str) -> str:
    """Return what stands in the audit trail for a name, so that only who has the workspace's key can try guesses."""
    path = context.layout.secrets / KEY
    make_private(path, lambda: secrets.token_bytes(_KEY_BYTES))
    return hmac.digest(read_private(path), text.encode(), "sha256").hex()


def _result(given: Erasure, erased: Erased) -> EraseResult:
    return EraseResult(given.endpoint, erased.predictions, erased.feedback, erased.files, erased.aside, given.dry_run)
