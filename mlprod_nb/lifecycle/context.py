"""What every story works on: where, who, when, and the rooms below."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from mlprod_nb import settings
from mlprod_nb.clock import Clock
from mlprod_nb.errors import Corrupt, NotFound, Refused, Unavailable
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.store import UNCHANGED, Fence, Store, closed

if TYPE_CHECKING:
    from mlprod_nb.notebooks import EarlyRunner
    from mlprod_nb.prediction_log.reader import PredictionLog
    from mlprod_nb.registry.bundles import Bundle, BundleStore
    from mlprod_nb.registry.lineage import NotebookContext
    from mlprod_nb.registry.models import Registry
    from mlprod_nb.routing import Variant
    from mlprod_nb.targets import Target

LOCAL_TOKEN = "local.token"  # noqa: S105 (a file's name)


@dataclass(frozen=True)
class Caller:
    """Who calls a verb, and from where.

    Attributes:
        actor: The name that journals and audits record.
        command: The line as it was typed; empty for a call from Python.
        notebook: What the notebook door knows of its notebook.
        confirm: Asks a question and returns the answer; ``None`` where nobody can be asked.
        job: Whether the scheduler calls.
        execution: The mark of the notebook's execution that calls; empty where a person does.
        progress: Who listens to how far the verb is.
        runner: Waits already for the notebook that the verb will execute; ``None``: one is started when it is needed.
    """

    actor: str
    command: str = ""
    notebook: NotebookContext | None = None
    confirm: Callable[[str], bool] | None = None
    job: bool = False
    execution: str = ""
    progress: Progress = SILENCE
    runner: EarlyRunner | None = None

    @classmethod
    def current(cls) -> Caller:
        """Return the operating system's user."""
        return cls(actor=_user(), job=settings.in_a_job(), execution=settings.execution())


def _user() -> str:
    """Return the name of the account that this process runs as; ``LOGNAME`` and ``USER`` are whatever a shell says."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # no such database, or no such account in it, as in some containers
        return getpass.getuser()


def change() -> None:
    """Say that files or processes are about to change, where there is no workspace to say it to.

    Raises:
        Refused: This is a reproduction.
    """
    if settings.candidates_folder() is not None:
        raise Refused(UNCHANGED)


class Context:
    """One workspace as the stories see it; the rooms open when first used.

    Args:
        root: The workspace's directory.
        caller: Who calls.
        clock: Gives the present moment.
    """

    def __init__(self, root: Path, caller: Caller, clock: Clock) -> None:
        self.root = root
        self.caller = caller
        self.clock = clock
        self.layout = settings.Layout(root)

    @cached_property
    def settings(self) -> settings.Settings:
        """The workspace's settings."""
        return settings.load(self.root)

    @property
    def reproducing(self) -> bool:
        """Whether this process belongs to the execution of a reproduction, which changes nothing."""
        return settings.candidates_folder() is not None

    def change(self) -> None:
        """Say that something beside store and registry is about to change: processes, files, the prediction log.

        Raises:
            Refused: This is a reproduction.
        """
        change()

    @property
    def progress(self) -> Progress:
        """Who listens to how far the verb is."""
        return self.caller.progress

    @cached_property
    def store(self) -> Store:
        """The state database, at the newest schema."""
        run = settings.job_run(self.root)
        url = self.settings.store.url or Store.sqlite_url(self.layout.database)
        fence = None if run is None else Fence(run)
        store = Store(url, fence=closed if self.reproducing else fence)
        store.migrate()
        return store

    @cached_property
    def registry(self) -> Registry:
        """The MLflow registry; one of the workspace's own goes with it where that is moved or copied."""
        from mlprod_nb.registry import relocating
        from mlprod_nb.registry.models import Registry

        if not self.settings.registry.tracking_uri and not self.reproducing:
            relocating.follow(self.layout.mlflow_database, self.layout.artifacts)
        uri = self.settings.registry.tracking_uri or Store.sqlite_url(self.layout.mlflow_database)
        return Registry(uri, self.layout.artifacts, read_only=UNCHANGED if self.reproducing else "")

    @property
    def target(self) -> Target:
        """Where the gateway runs."""
        from mlprod_nb import targets

        return targets.of(self.root)

    @cached_property
    def bundles(self) -> BundleStore:
        """The bundles that gateways load."""
        from mlprod_nb.registry.bundles import BundleStore

        return BundleStore(self.layout.bundles)

    def bundle_of(self, variant: Variant) -> Bundle:
        """Return the bundle of a variant that serves.

        Raises:
            Unavailable: It is not here any more, or damaged; the message says how to fetch it.
        """
        try:
            return self.bundles.get(variant.bundle)
        except NotFound:
            where = self.shown(str(self.layout.bundles))
            said = f"the bundle {variant.bundle[:12]} of {variant.model_version} is gone from {where}."
        except Corrupt as error:
            said = error.message
        raise Unavailable(said, hint=f"To fetch it from the registry: mlprod check {variant.model_version}")

    @cached_property
    def log(self) -> PredictionLog:
        """The prediction log."""
        from mlprod_nb.prediction_log.catalogue import Catalogue
        from mlprod_nb.prediction_log.keys import LogKeys
        from mlprod_nb.prediction_log.reader import PredictionLog

        return PredictionLog(self.layout.log, Catalogue(self.store), LogKeys.of(self.layout, self.settings.log))

    def shown(self, path: str) -> str:
        """Return a file's path as people read it: from the workspace, where it lies there."""
        inside = Path(path).is_relative_to(self.root)
        return Path(path).relative_to(self.root).as_posix() if inside else path

    def audit(self, connection: Connection, action: str, subject: str, detail: str = "") -> None:
        """Record an action in the audit trail, in the caller's transaction."""
        from mlprod_nb.access import audit

        audit.record(
            connection, actor=self.caller.actor, action=action, subject=subject, detail=detail, now=self.clock()
        )

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before a dangerous verb.

        Raises:
            Refused: The answer is no, or nobody can be asked and ``yes`` is not set.
        """
        if yes:
            return
        if self.caller.confirm is None:
            raise Refused(f"{question} There is nobody to ask.", hint="Say --yes.")
        if not self.caller.confirm(question):
            raise Refused("Left as it was.")
