"""A state database that cannot be opened says what is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlprod_nb.errors import Unavailable
from mlprod_nb.store import Store


@pytest.fixture
def unopened(tmp_path: Path) -> Store:
    """A database that is a folder, which SQLite cannot open."""
    (tmp_path / "state.db").mkdir()
    return Store(Store.sqlite_url(tmp_path / "state.db"))


def test_a_folder_that_cannot_be_written_is_named(
    unopened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # of a read-only disk, whoever asks
    with pytest.raises(Unavailable) as failed, unopened.read():
        pass
    assert str(failed.value) == (
        f"the state database cannot be used: {tmp_path} cannot be written. "
        "Give the right to write there; reading the database writes there, too."
    )


def test_any_other_hindrance_is_told_as_the_database_has_it(unopened: Store) -> None:
    with pytest.raises(Unavailable, match="does not answer: unable to open database file"), unopened.read():
        pass
