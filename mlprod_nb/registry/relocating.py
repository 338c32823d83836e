"""The registry of a workspace that was moved or copied: it names its artifacts where they lie now.

MLflow writes whole paths into its database. So a workspace that was moved would find no artifact of its versions, and
a copy would read and write those of the original.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow(database: Path, artifacts: Path) -> None:
    """Write the addresses of artifacts anew where they name another directory than the workspace's own.

    Nothing is written where nothing has moved. A database that cannot be read or written stays as it is: who needs it
    finds out, and a copy to be read only does not.

    Args:
        database: MLflow's database within the workspace.
        artifacts: Where the workspace keeps artifacts.
    """
    if not database.is_file() or not artifacts.is_dir():
        return
    here = artifacts.resolve().as_uri()
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(database)) as connection:
        known = connection.execute("SELECT artifact_location FROM experiments").fetchall()
        homes = {str(location).rpartition("/")[0] for (location,) in known}
        ours = f"/{artifacts.parent.name}/{artifacts.name}"
        for home in (home for home in homes if home.endswith(ours) and home != here):
            _move(connection, home, here)


def _move(connection: sqlite3.Connection, home: str, here: str) -> None:
    """Replace the beginning of all addresses, in one transaction."""
    with connection:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 (names of ours)
                (here, len(home) + 1, len(home) + 1, f"{home}/"),
            )
