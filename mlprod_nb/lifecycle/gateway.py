"""Making a workspace; starting and stopping its processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlprod_nb import assets, settings
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import UsageError
from mlprod_nb.lifecycle import serving_now
from mlprod_nb.lifecycle.context import LOCAL_TOKEN, Caller, Context
from mlprod_nb.results import Result

_SETTINGS_FILE = """\
# A workspace of mlprod_nb. Every key has a safe default; `mlprod.toml` is the place to change one.
name = "{name}"

# [gateway]
# host = "127.0.0.1"   # loopback only
# port = 0             # 0: take a free port and keep it
# workers = 1          # processes that share the port
# tls = false          # HTTPS with the workspace's own certificate

# [registry]
# tracking_uri = ""    # empty: MLflow in .mlprod/mlflow.db

# [store]
# url = ""             # empty: SQLite in .mlprod/state.db
"""


@dataclass(frozen=True)
class InitResult(Result):
    """A workspace is there.

    Attributes:
        workspace: Its name.
        root: Its directory.
        created: What this call made; empty where all was there.
        inside: The directory of the workspace that it was made in; empty where it is in none.
    """

    workspace: str
    root: str
    created: tuple[str, ...]
    inside: str = ""

    def headline(self) -> str:
        """Say whether it was made or found, and which workspace lines from here reached until now."""
        state = f"Workspace {self.workspace!r} is {'ready' if self.created else 'already here'}"
        if not self.inside:
            return f"{state}."
        return f"{state}. Until now lines from here reached the workspace around it, {self.inside}; they do no more."


@dataclass(frozen=True)
class UpResult(Result):
    """The processes run.

    Attributes:
        url: Where the gateway answers.
        gateway_pid: The gateway's process.
        scheduler_pid: The scheduler's process; ``None`` where the settings leave the jobs to an outside one.
        already_running: Whether the gateway ran before this call.
        lost_port: The port that it kept until now and that another program has taken; ``None`` where it keeps its own.
        settings_changed: Whether ``mlprod.toml`` was changed after it started, so that it does not run by it.
        version: The version of mlprod_nb that it runs by; empty for one too old to say so; ``None``: it did not say.
        place: Where it runs; empty: on this machine.
    """

    url: str
    gateway_pid: int
    scheduler_pid: int | None
    already_running: bool
    lost_port: int | None = None
    settings_changed: bool = False
    version: str | None = None
    place: str = ""

    def headline(self) -> str:
        """Say where it answers, and what its callers or its operator must know."""
        where = f"The gateway {'runs already' if self.already_running else 'is up'} at {self.url}"
        where += f", {self.place}" if self.place else ""
        outdated = serving_now.outdated(self.version) if self.already_running else ""
        if outdated:
            return f"{where}; {outdated}"
        if self.settings_changed:
            return (
                f"{where}, by the settings that it started with: mlprod.toml was changed since. "
                "To let it read them: mlprod down, then mlprod up."
            )
        if self.lost_port is None:
            return where
        return (
            f"{where}, since another program has port {self.lost_port}. Tell its callers, "
            f"or free that port and set it: port = {self.lost_port} under [gateway] in mlprod.toml."
        )


@dataclass(frozen=True)
class DownResult(Result):
    """The processes ended.

    Attributes:
        stopped: What was stopped; empty where nothing ran.
    """

    stopped: tuple[str, ...]

    def headline(self) -> str:
        """Say what was stopped."""
        return f"Stopped: {', '.join(self.stopped)}." if self.stopped else "Nothing was running."


def init(path: Path, *, name: str) -> InitResult:
    """Make a workspace; what is there stays as it is.

    Raises:
        UsageError: The path cannot be a workspace.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{str(path)!r} is a file; a workspace is a directory.")
    root = path.resolve()
    context = Context(root, Caller.current(), utc_now)
    context.change()
    path.mkdir(parents=True, exist_ok=True)
    around = settings.find_root(root)
    created = []
    if not context.layout.settings_file.exists():
        context.layout.settings_file.write_text(
            _SETTINGS_FILE.format(name=_toml_text(name or root.name)), encoding="utf-8"
        )
        created.append(settings.FILE_NAME)
    if not context.layout.state.is_dir():
        context.layout.state.mkdir(mode=0o700)
        (context.layout.state / ".gitignore").write_text("*\n", encoding="utf-8")
        created.append(".mlprod")
    _local_token(context)
    inside = "" if around in (None, root) else str(around)
    return InitResult(context.settings.name or root.name, str(root), tuple(created), inside)


def up(context: Context) -> UpResult:
    """Start what does not run yet: two at once start one."""
    from mlprod_nb import scheduler, targets
    from mlprod_nb.lifecycle.releasing import carrying
    from mlprod_nb.lifecycle.watching import counting_ahead
    from mlprod_nb.serving import listening

    context.change()
    _local_token(context)
    before = context.target.running(context.root)
    kept = listening.kept_port(context.layout)
    record = targets.start(context.root, after_compaction=counting_ahead.__name__)
    lost = kept if listening.kept_port(context.layout) != kept else None
    if before is None:
        with context.store.write() as connection:
            context.audit(connection, "up", record.url)
    carrying.watch_where_asked(context)
    jobs = scheduler.start(context.root) if context.settings.scheduler.enabled else None
    written = datetime.fromtimestamp(context.layout.settings_file.stat().st_mtime, UTC)
    found = before is not None
    condition = context.target.condition(context.root)
    version = condition.version if found else assets.version()
    changed = before is not None and written > before.started_at
    return UpResult(record.url, record.pid, jobs, found, lost, changed, version, condition.place)


def down(context: Context, *, yes: bool) -> DownResult:
    """Stop the gateway after its last request, and the scheduler."""
    from mlprod_nb import scheduler

    context.change()
    record = context.target.running(context.root)
    stopped = []
    if record is not None:
        context.confirm(f"Stop the gateway at {record.url}?", yes=yes)
    if context.target.stop(context.root):
        stopped.append("gateway")
        with context.store.write() as connection:
            context.audit(connection, "down", record.url if record else "")
    if scheduler.stop(context.root):
        stopped.append("scheduler")
    return DownResult(tuple(stopped))


def _local_token(context: Context) -> None:
    """Give this machine's user a token of their own, so that local calls work without a set-up.

    One that is there stays, revoked or not, unless the state database never heard of it: ``mlprod.toml`` names another
    one since.
    """
    from mlprod_nb.access import secrets, tokens

    path = context.layout.secrets / LOCAL_TOKEN
    with context.store.write() as connection:
        if path.exists() and tokens.known(connection, secrets.read_secret(path)):
            return
        secret = tokens.issue(connection, "local", "admin", now=context.clock())
        context.audit(connection, "grant", "local", "admin")
        secrets.write_secret(path, secret)


def _toml_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
