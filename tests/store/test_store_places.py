"""A state database's address that is none, or leads nowhere, is told in one line, and without its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.errors import Unavailable, UsageError
from mlprod_nb.store import Store


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres", "is 'postgres', which is no address of a database. Write it as \"postgresql://USER@HOST/NAME\""),
        ("ann:hidden@server/db", "is no address of a database. Write it as"),
        ("postgres://ann:hidden@server/db", "begins with 'postgres', which .* Did you mean 'postgresql'?"),
        ("mysql://ann:hidden@server/db", "begins with 'mysql', which .* There is: postgresql, sqlite."),
        ("postgresql://ann:hidden@server:port/db", "cannot be read: invalid literal for int() with base 10: 'port'."),
    ],
)
def test_an_address_that_is_none_names_the_key_and_the_nearest_right_one(url: str, words: str) -> None:
    with pytest.raises(UsageError) as told:
        Store(url)
    said = str(told.value)
    assert said.startswith("[store] url in mlprod.toml ")
    assert all(part in said for part in words.split(" .* "))
    assert "hidden" not in said


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    for place, words in (
        (tmp_path / "none" / "state.db", f"cannot be made: there is no directory {tmp_path / 'none'}."),
        (tmp_path, "does not answer: unable to open database file, since it is a directory."),
        (tmp_path / "notes.txt", "notes.txt is no SQLite database."),
    ):
        with pytest.raises(Unavailable) as told:
            Store(Store.sqlite_url(place)).migrate()
        assert f"{place}" in str(told.value)
        assert words in str(told.value)
        assert str(told.value).endswith("Check [store] url in mlprod.toml.")
