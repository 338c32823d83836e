"""New versions, whoever registered them: checked or released by themselves, as ``on_register`` says, each once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.engine import Connection

from mlprod_nb import locks
from mlprod_nb.errors import MlprodError, NotFound, Refused, Unavailable
from mlprod_nb.lifecycle.alerting import notifying
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.registering import bundling
from mlprod_nb.lifecycle.releasing import carrying, checking, story, telling
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.results import Result, counted
from mlprod_nb.store import releases, version_actions
from mlprod_nb.store.tries import with_one
from mlprod_nb.store.version_actions import State, VersionAction

_TRIES = 3


@dataclass(frozen=True)
class WatchedRow:
    """One new version.

    Attributes:
        version: As ``flights/4``.
        wants: check or release.
        state: planned, begun, done, failed or left alone.
        detail: What came of it, or what it waits for.
    """

    version: str
    wants: str
    state: str
    detail: str


@dataclass(frozen=True)
class WatchResult(Result):
    """What a look at the registry found new, and what was done.

    Attributes:
        models: How many models are watched.
        versions: One row a version that is new, or still waits.
    """

    models: int
    versions: tuple[WatchedRow, ...]
    _frame_field: ClassVar[str] = "versions"
    _hidden: ClassVar[tuple[str, ...]] = ("models",)

    @property
    def exit_code(self) -> int:
        """1 where a version did not pass."""
        return int(any(row.state == "failed" for row in self.versions))

    def headline(self) -> str:
        """Say how many are watched and new."""
        if not self.models:
            return "No model is watched: set on_register in [models.NAME]."
        return f"{counted(self.models, 'model')} watched, {counted(len(self.versions), 'version')} to see to."


def plan(context: Context, connection: Connection, model: str, version: int) -> str:
    """Write down what is to be done with a version, in the transaction of its registration; return it in words."""
    wants = context.settings.model(model).on_register
    if not wants:
        return ""
    version_actions.plan(connection, model, version, wants, now=context.clock())
    carrying.ensure(connection, carrying.WATCH, now=context.clock())
    return f"{wants}: {carrying.who(context)}"


def watch(context: Context) -> WatchResult:
    """Look for new versions of every model that has ``on_register``, and see to each once."""
    context.change()
    watched = {name: table.on_register for name, table in context.settings.models.items() if table.on_register}
    rows: list[WatchedRow] = []
    with _alone(context) as mine:
        for model, wants in watched.items() if mine else ():
            try:
                there = context.registry.versions(model)
            except NotFound:
                there = ()  # seen to have none yet, so its first version is new
            rows += _see_to(context, model, wants, there)
    if not watched:
        carrying.clear(context, carrying.WATCH)
    notifying.deliver(context)
    return WatchResult(len(watched), tuple(rows))


def _see_to(context: Context, model: str, wants: str, there: tuple[ModelVersion, ...]) -> list[WatchedRow]:
    by_number = {version.version: version for version in there}
    with context.store.write() as connection:
        fresh = version_actions.notice(connection, model, list(by_number), wants, now=context.clock())
        known = version_actions.of_model(connection, model)
    waiting = [action for action in known if _waits(action)]
    for action in waiting:
        if action.version not in by_number:
            _end(context, action, "left alone", "it is not in the registry any more.")
        elif action.wants == "release" and action.version < waiting[-1].version:
            _end(context, action, "left alone", f"{waiting[-1].ref} came after it and is released instead.")
        else:
            _attempt(context, action, by_number[action.version])
    with context.store.read() as connection:
        after = version_actions.of_model(connection, model)
    shown = {action.version for action in waiting} | set(fresh)
    return [WatchedRow(a.ref, a.wants, a.state, a.detail) for a in after if a.version in shown]


def _waits(action: VersionAction) -> bool:
    return action.state in ("planned", "begun") or (action.state == "failed" and action.tries < _TRIES)


class _Later(Refused):
    """The action waits for something; it was not tried."""


def _attempt(context: Context, action: VersionAction, version: ModelVersion) -> None:
    """Carry one action on; what a killed process began is begun again, for a check changes nothing."""
    try:
        if action.wants == "release":
            _hindrance(context, action)
        with context.store.write() as connection:
            version_actions.begin(connection, action, now=context.clock())
        made = bundling.ensure(context, version, action.model)
        _check(context, action, made) if action.wants == "check" else _release(context, action, made)
    except _Later as error:
        _end(context, action, "planned", f"waits: {error}")
    except Unavailable as error:
        if with_one(action.tries, action.changed_at, context.clock())[0] < _TRIES:
            _end(context, action, "failed", str(error))
        else:
            _give_up(context, action, f"{error} It was tried {_TRIES} times.")
    except MlprodError as error:
        _give_up(context, action, str(error))


def _hindrance(context: Context, action: VersionAction) -> None:
    """Say why a release cannot begin now, before anything is made.

    Raises:
        _Later: Another one is under way, or nothing serves yet.
    """
    known = revise.active(context)
    if action.model not in known:
        raise _Later(f"nothing serves at {action.model!r} yet: mlprod deploy {action.ref}")
    with context.store.read() as connection:
        other = releases.of_endpoint(connection, action.model)
    if other is not None and other.ending is None and other.given.version != action.ref:
        raise _Later(f"release {other.id} of {other.given.version} is under way.")


def _check(context: Context, action: VersionAction, made: str) -> None:
    verdict = checking.verdict(context, action.ref)
    _end(context, action, "done", " ".join(filter(None, (made, verdict.sentence))))
    if verdict.exit_code:
        _tell(context, action, verdict.sentence)


def _release(context: Context, action: VersionAction, made: str) -> None:
    """Begin the release and end the action in one transaction, so that it is begun once."""
    serving = main_variant(revise.existing(context, action.model).spec, action.model)
    if serving.model_version == action.ref:
        _end(context, action, "done", "it serves already.")
        return
    wanted = story.Wanted(action.ref, reason=f"registered, and on_register is release. {made}".strip())
    try:
        given = story.prepare(context, wanted)
    except Refused as error:
        raise _Later(str(error)) from None

    def ended(connection: Connection, number: int) -> None:
        version_actions.end(connection, action, "done", f"release {number} of it began. {made}".strip(),
                            now=context.clock())  # fmt: skip

    story.look(context, story.begin(context, given, ended))


def _give_up(context: Context, action: VersionAction, why: str) -> None:
    _end(context, action, "left alone", why)
    _tell(context, action, why)


def _end(context: Context, action: VersionAction, state: State, detail: str) -> None:
    """Write down how an action ended; the audit trail has the same word, look after look, once."""
    with context.store.write() as connection:
        version_actions.end(connection, action, state, detail, now=context.clock())
        if (state, detail) != (action.state, action.detail):
            context.audit(connection, "on register", action.ref, f"{action.wants} {state}: {detail}")


def _tell(context: Context, action: VersionAction, sentence: str) -> None:
    with context.store.write() as connection:
        said = f"{action.ref} was not {'checked' if action.wants == 'check' else 'released'}: {sentence}"
        telling.alarm(context, connection, action.model, action.ref, said, f"%mlprod {action.wants} {action.ref}")


def _alone(context: Context) -> AbstractContextManager[bool]:
    """Yield whether this process is the only one that looks."""
    return locks.tried(context.layout.run / "watching-versions.lock")
