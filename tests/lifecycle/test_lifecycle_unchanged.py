"""Whatever verb's method a notebook calls while it is run to reproduce a version: nothing in the workspace changes.

The doors leave such lines out; a notebook may call the methods themselves. Each is called as its examples say, so a new
verb is tried without being named here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlprod_nb import Workspace, commands
from mlprod_nb.commands.verbs import Verb, verbs
from mlprod_nb.errors import MlprodError
from mlprod_nb.settings import CANDIDATES
from tests.lifecycle.conftest import Site, make_site

#: SQLite's own files, which reading makes, too; and bundles, which are copies named by their content.
_OF_READING = ("-wal", "-shm", "-journal")
_BUNDLES = Path(".mlprod") / "bundles"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with two versions, a job and another workspace's archive, named as in the examples; nothing runs."""
    site = make_site(tmp_path_factory.mktemp("quiet") / "ws")
    site.workspace.schedule_add("0 0 1 * *", "status")
    site.workspace.status()
    other = make_site(tmp_path_factory.mktemp("other") / "ws")
    other.workspace.export("flights/1", to=str(site.workspace.root / "flights-3.zip"))
    other.workspace.context.store.close()
    yield site
    site.workspace.context.store.close()


def files(root: Path) -> dict[str, str]:
    """Return the digest of each file below a directory; a folder has none."""
    found = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if not inside.is_relative_to(_BUNDLES) and not path.name.endswith(_OF_READING):
            found[inside.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found


def called(site: Site, verb: Verb, example: str) -> None:
    """Call a verb's method as an example of it says."""
    words = commands.split(example.partition("mlprod ")[2])
    objects: dict[str, Any] = {"clf": site.model, "model": site.model, "X": site.data, "y": site.target}
    names = {word[1:]: objects.get(word[1:], site.data) for word in words if word.startswith("$")}
    call = commands.parse(words, commands.Door(names=names))
    assert isinstance(call, commands.Call)
    facade: Any = Workspace.open(site.workspace.root) if verb.opens else Workspace
    options = call.options | ({"yes": True} if "yes" in call.options else {})
    try:
        with suppress(MlprodError):
            getattr(facade, verb.method)(*call.arguments, **options)
    finally:
        if verb.opens and "context" in vars(facade):
            facade.context.store.close()


@pytest.mark.parametrize("verb", [pytest.param(verb, id=verb.name) for verb in verbs().values()])
def test_a_verb_changes_nothing_while_a_version_is_reproduced(
    verb: Verb, quiet: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = quiet.workspace.root
    monkeypatch.setenv(CANDIDATES, str(tmp_path))
    monkeypatch.setenv("MLPROD_WORKSPACE", str(root))
    monkeypatch.chdir(root)
    before, running = files(root), {child.pid for child in psutil.Process().children(recursive=True)}
    for example in verb.explanation.examples:
        called(quiet, verb, example)
    assert files(root) == before
    started = [child for child in psutil.Process().children(recursive=True) if child.pid not in running]
    assert [child for child in started if child.status() != psutil.STATUS_ZOMBIE] == []
