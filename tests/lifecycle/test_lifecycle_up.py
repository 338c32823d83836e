"""Starting the gateway says what its callers must hear of."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pandas as pd
import psutil
import pytest

import mlprod_nb
from mlprod_nb import Workspace, __version__
from mlprod_nb.errors import NotFound
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store


def test_a_port_that_was_taken_and_settings_that_it_does_not_run_by_are_told_with_what_to_do(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    workspace = Workspace.open(tmp_path)
    kept = Layout(tmp_path).run / "port"
    kept.parent.mkdir(exist_ok=True)
    try:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            kept.write_text(f"{port}\n", encoding="utf-8")
            up = workspace.up()
        assert up.lost_port == port
        assert up.headline() == (
            f"The gateway is up at {up.url}, since another program has port {port}. Tell its callers, "
            f"or free that port and set it: port = {port} under [gateway] in mlprod.toml."
        )
        again = workspace.up()
        assert again.headline() == f"The gateway runs already at {up.url}"
        workspace.context.layout.settings_file.write_text("[gateway]\nworkers = 2\n", encoding="utf-8")
        assert workspace.up().headline() == (
            f"The gateway runs already at {up.url}, by the settings that it started with: "
            "mlprod.toml was changed since. To let it read them: mlprod down, then mlprod up."
        )
    finally:
        workspace.down(yes=True)
        workspace.context.store.close()


def test_a_workspace_whose_state_is_kept_elsewhere_since_it_was_made_lets_its_own_calls_in(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    elsewhere = Store.sqlite_url(tmp_path / "elsewhere.db")
    Layout(tmp_path).settings_file.write_text(f'[store]\nurl = "{elsewhere}"\n', encoding="utf-8")
    workspace = Workspace.open(tmp_path)
    try:
        workspace.up()
        with pytest.raises(NotFound, match="endpoint 'flights'"):
            workspace.predict("flights", data=pd.DataFrame({"hour": [1.0]}))
        granted = [row.name for row in workspace.access_list().tokens]
        assert granted == ["local"]
        assert workspace.up().already_running
        assert len(workspace.access_list().tokens) == 1
    finally:
        workspace.down(yes=True)
        workspace.context.store.close()


def test_a_gateway_that_runs_by_an_older_version_than_is_installed_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "older"
    shutil.copytree(Path(mlprod_nb.__file__).parent, older / "mlprod_nb", ignore=shutil.ignore_patterns("__pycache__"))
    first = older / "mlprod_nb" / "__init__.py"
    text = first.read_text(encoding="utf-8").replace(f'"{__version__}"', '"0.0.9"')
    first.write_text(text, encoding="utf-8")
    root = tmp_path / "workspace"
    Workspace.init(str(root))
    workspace = Workspace.open(root)
    try:
        with monkeypatch.context() as before:
            before.setenv("PYTHONPATH", str(older))
            url = workspace.up().url
        told = f"the gateway runs by mlprod_nb 0.0.9, and {__version__} is installed. "
        told += "To let it run: mlprod down, then mlprod up."
        assert workspace.up().headline() == f"The gateway runs already at {url}; {told}"
        status = workspace.status()
        assert (status.gateway.version, status.verdict.status, status.verdict.sentence) == ("0.0.9", "warn", told)
        # As pip does it while the gateway runs: a worker that is replaced from now on is a newer one than the rest.
        first.write_text(text.replace('"0.0.9"', f'"{__version__}"'), encoding="utf-8")
        for worker in psutil.Process(status.gateway.pid).children():
            worker.kill()
        assert wait_for(lambda: workspace.status().gateway.restarts > 0, 30)
        status = workspace.status()
        assert (status.gateway.version, status.gateway.problem, status.verdict.sentence) == ("0.0.9", "", told)
        mixed = f"This worker runs by {__version__} in a gateway of mlprod_nb 0.0.9. To renew all of it: mlprod down"
        assert mixed in (root / ".mlprod/run/gateway.log").read_text(encoding="utf-8")
        workspace.down(yes=True)
        assert workspace.up().headline() == f"The gateway is up at {url}"
        assert workspace.status().verdict.status == "ok"
    finally:
        workspace.down(yes=True)
        workspace.context.store.close()
