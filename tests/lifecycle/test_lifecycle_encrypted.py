"""A workspace whose prediction log is encrypted, from the first prediction to a look, a kill and a lost key."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import Corrupt
from mlprod_nb.targets import local
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

UNITS = [f"passenger-{number}" for number in range(40)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_site(tmp_path)
    (tmp_path / "mlprod.toml").write_text('name = "site"\n[log]\nencrypt = true\n')
    return Site(Workspace.open(tmp_path), site.data, site.target, site.model)


def in_clear(root: Path) -> list[str]:
    """Return the log's files that hold a unit's name."""
    files = [path for path in (root / ".mlprod/log").rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if b"passenger-" in path.read_bytes()]


def test_a_workspace_with_an_encrypted_log_does_all_that_another_one_does(site: Site) -> None:
    workspace, root = site.workspace, site.workspace.context.root
    workspace.up()
    try:
        workspace.deploy("flights@champion")
        found = workspace.predict("flights", data=site.data[:40], units=UNITS)
        workspace.feedback("flights", ids=found.prediction_ids, values=site.target[:40].tolist())
        assert in_clear(root) == []
        record = local.running(root)
        assert record is not None
        supervisor = psutil.Process(record.pid)
        for process in (supervisor, *supervisor.children(recursive=True)):
            process.kill()
        workspace.up()
        workspace.predict("flights", data=site.data[:40], units=UNITS)
    finally:
        workspace.down(yes=True)
    assert workspace.compact().rows == 120
    assert in_clear(root) == []
    frame = workspace.log("flights").to_frame()
    assert sorted(frame["unit"]) == sorted(2 * UNITS)
    assert frame["label"].notna().sum() == 40
    assert workspace.who_served(found.prediction_ids[0]).unit == UNITS[0]
    assert workspace.monitor("flights").rows == 80
    assert workspace.verify().exit_code == 0
    key = root / ".mlprod/secrets/log.keys"
    key.rename(key.with_suffix(".away"))
    with pytest.raises(Corrupt, match="is encrypted with key"):
        Workspace.open(root).log("flights")
    assert not key.exists()


def test_a_key_of_the_environment_encrypts_and_no_file_holds_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    root = site.workspace.context.root
    monkeypatch.setenv("MLPROD_LOG__KEYS", "1a" * 32)
    workspace = Workspace.open(root)
    workspace.up()
    try:
        workspace.deploy("flights@champion")
        workspace.predict("flights", data=site.data[:40], units=UNITS)
        assert in_clear(root) == []
        assert len(workspace.log("flights")) == 40
    finally:
        workspace.down(yes=True)
    assert not (root / ".mlprod/secrets/log.keys").exists()
    monkeypatch.setenv("MLPROD_LOG__KEYS", "2b" * 32)
    with pytest.raises(Corrupt, match="is encrypted with key"):
        Workspace.open(root).log("flights")
