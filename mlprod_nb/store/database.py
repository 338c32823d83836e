"""Opening, migrating and writing the state database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mlprod_nb.errors import Unavailable, UsageError, nearest
from mlprod_nb.store import append_only, tables

HEAD = "0001"
#: By how much SQLite lets the file of its shared memory grow.
_SHARED_MEMORY_BYTES = 32 * 1024
_DATABASES = ("postgresql", "sqlite")
_WRITERS = 0x6D6C70726F64
"""Postgres's lock of whoever writes, by a number of our own: "mlprod" in ASCII."""


class DiskFull(Unavailable):
    """The disk of the state database is full; nothing of the transaction is kept."""

    def __init__(self) -> None:
        super().__init__("the disk of the state database is full.", hint="Make room on it, and try again.")


class Store:
    """One state database.

    Args:
        url: A SQLAlchemy URL; see :meth:`sqlite_url` for a file.
        fence: Is asked at the start of every transaction that writes, and raises where its caller may not any more.
    """

    def __init__(self, url: str, *, fence: Callable[[Connection], None] | None = None) -> None:
        self.url = url
        self._fence = fence
        self.engine = _engine(url)

    @staticmethod
    def sqlite_url(path: Path) -> str:
        """Return the URL of a SQLite file."""
        return f"sqlite:///{path}"

    def migrate(self) -> None:
        """Bring the schema to the newest version; of a database that is there already, add only what it lacks."""
        if self.schema_version() == HEAD:
            self._complete()
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _complete(self) -> None:
        """Add what came into the first schema since the database was made; see its migration."""
        with self.read() as connection:
            present = set(sa.inspect(connection).get_table_names())
            if set(tables.metadata.tables) <= present and append_only.protected(connection):
                return
        with self.write() as connection:
            tables.metadata.create_all(connection)
            append_only.protect(connection)

    def schema_version(self) -> str | None:
        """Return the schema's version, or ``None`` for an empty database."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return version

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection inside one transaction that has the write lock from its start; commits at the end."""
        with self._connect() as connection:
            writing = connection.execution_options(writes=True)
            with writing.begin():
                if self._fence is not None:
                    self._fence(writing)
                yield writing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one consistent state."""
        with self._connect() as connection:
            yield connection

    def mark(self) -> object | None:
        """Return what differs once somebody has written, for a look at two files; ``None``: the database is no file."""
        database = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not database:
            return None
        return tuple(_look(Path(f"{database}{suffix}")) for suffix in ("", "-wal"))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        connection: Connection | None = None
        try:
            connection = self.engine.connect()
            with connection:
                yield connection
        except sa.exc.DatabaseError as error:
            if _is_full(error, self.engine.url.database):
                raise DiskFull from None
            if folder := _unwritable(error, self.engine.url.database):
                hint = "Give the right to write there; reading the database writes there, too."
                raise Unavailable(
                    f"the state database cannot be used: {folder} cannot be written.", hint=hint
                ) from None
            if connection is not None:
                raise
            told = _silence(error, self.engine.url.database)
            raise Unavailable(told, hint="Check [store] url in mlprod.toml.") from None


def _is_full(error: sa.exc.DatabaseError, database: str | None) -> bool:
    """Tell whether SQLite had no room; of its shared memory's file it says so by an input/output error."""
    said = getattr(error.orig, "sqlite_errorname", "")
    if said == "SQLITE_FULL" or not said.startswith("SQLITE_IOERR") or not database:
        return bool(said == "SQLITE_FULL")
    found = os.statvfs(Path(database).parent)
    return found.f_bavail * found.f_frsize < _SHARED_MEMORY_BYTES


def _unwritable(error: sa.exc.DatabaseError, database: str | None) -> Path | None:
    """Return the folder of SQLite's file where the error comes of nobody being able to write there."""
    said = getattr(error.orig, "sqlite_errorname", "")
    if not database or not said.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return None
    folder = Path(database).parent
    return folder if folder.is_dir() and not os.access(folder, os.W_OK) else None


def _silence(error: sa.exc.DatabaseError, database: str | None) -> str:
    """Say why a state database cannot be opened."""
    said, told = getattr(error.orig, "sqlite_errorname", ""), " ".join(str(error.orig).split()).rstrip(".?")
    if not said or not database:
        return f"the state database does not answer: {told}."
    if said == "SQLITE_NOTADB":
        return f"{database} is no SQLite database."
    folder = Path(database).parent
    if not folder.is_dir():
        return f"the state database {database} cannot be made: there is no directory {folder}."
    directory = ", since it is a directory" if Path(database).is_dir() else ""
    return f"the state database {database} does not answer: {told}{directory}."


def _look(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _engine(url: str) -> Engine:
    made = _address(url)
    if made.drivername == "postgresql":
        made = made.set(drivername="postgresql+psycopg")
    try:
        engine = sa.create_engine(made)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"the state database needs the package {error.name!r}.", hint="pip install 'mlprod_nb[postgres]'"
        ) from None
    if engine.dialect.name == "postgresql":
        tables.speak_postgres()
        sa.event.listen(engine, "begin", _begin_on_postgres)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _address(url: str) -> sa.URL:
    """Read a database's address; it is not repeated where it may hold a password.

    Raises:
        UsageError: It is none, or that of a database which cannot be used.
    """
    kind, colon, _ = url.partition("://")
    hint = 'Write it as "postgresql://USER@HOST/NAME", or "" for SQLite in .mlprod.'
    if not colon:
        shown = "no address of a database" if "@" in url else f"{url!r}, which is no address of a database"
        raise UsageError(f"[store] url in mlprod.toml is {shown}.", hint=hint)
    known = kind.partition("+")[0]
    if known not in _DATABASES:
        near = nearest(known, _DATABASES)
        meant = f"Did you mean {near!r}?" if near else f"There is: {', '.join(_DATABASES)}."
        raise UsageError(f"[store] url in mlprod.toml begins with {kind!r}, which is no database of ours.", hint=meant)
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        told = str(error).rstrip(".")
        raise UsageError(f"[store] url in mlprod.toml cannot be read: {told}.", hint=hint) from None


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself, or BEGIN IMMEDIATE below would come too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_on_postgres(connection: Connection) -> None:
    """Let one transaction write at a time, as SQLite does; let one that reads see one moment."""
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if connection.get_execution_options().get("writes", False) else "BEGIN"
    )
