"""The extension as pip installs it, where it was built and where it was not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.conftest import ROOT, build
from tools import labextension

pytestmark = pytest.mark.slow
SOURCES = ("labextension", "widgets", "notebooks", "mlprod_nb", "tools", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree in which nothing was built."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("node_modules", "build", "__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def listed(prefix: Path) -> str:
    """Return what JupyterLab says of its extensions, with a prefix and no other place."""
    environment = {**os.environ, "JUPYTER_PATH": str(prefix / "share" / "jupyter"), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "jupyter", "labextension", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + done.stderr


def test_pip_alone_installs_an_extension_that_jupyterlab_finds_enabled(prefix: Path) -> None:
    lines = [line for line in listed(prefix).splitlines() if "mlprod-nb v" in line]
    assert lines
    assert "enabled" in lines[0]
    assert "OK" in lines[0]
    assert "(python, mlprod_nb)" in lines[0]
    server = prefix / "etc" / "jupyter" / "jupyter_server_config.d" / "mlprod_nb.json"
    assert json.loads(server.read_text("utf-8"))["ServerApp"]["jpserver_extensions"] == {"mlprod_nb.lab": True}


def test_a_wheel_without_a_build_says_so_and_has_all_else(tree: Path, tmp_path: Path) -> None:
    done = build(tmp_path / "out", root=tree)
    assert done.returncode == 0, done.stderr
    assert "The JupyterLab extension is not built. Build it with: make labextension (needs npm)." in done.stderr
    (file,) = (tmp_path / "out").glob("*.whl")
    installed = tmp_path / "prefix"
    shutil.unpack_archive(file, installed, "zip")
    assert (installed / "mlprod_nb" / "lab" / "handlers.py").is_file()
    assert not list(installed.glob("*.data/data/share/**/*"))
    assert list(installed.glob("*.data/data/etc/jupyter/jupyter_server_config.d/mlprod_nb.json"))


def test_where_the_extension_is_required_a_wheel_without_it_is_not_built(tree: Path, tmp_path: Path) -> None:
    done = build(tmp_path / "out", root=tree, required=True)
    assert done.returncode != 0
    assert "The JupyterLab extension is not built." in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*.whl"))


def test_a_build_of_other_sources_is_named_stale_by_the_file_that_changed(built: Path, tree: Path) -> None:
    shutil.copytree(built, tree / labextension.BUILT)
    assert labextension.trouble(tree) == ""
    changed = tree / "labextension" / "src" / "follow.ts"
    text = changed.read_text("utf-8")
    changed.write_text(f"{text}\n", encoding="utf-8")
    assert labextension.trouble(tree).startswith("labextension/src/follow.ts changed since")
    changed.write_text(text, encoding="utf-8")
    (tree / "labextension" / "src" / "more.ts").write_text("", encoding="utf-8")
    assert labextension.trouble(tree).startswith("labextension/src/more.ts changed since")


def test_what_ships_asks_no_network_and_never_writes_html(built: Path) -> None:
    for file in built.rglob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        for word in ("http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
            assert word not in text, (file.name, word)


def test_nothing_that_was_built_or_resolved_is_under_version_control() -> None:
    git = shutil.which("git")
    assert git
    done = subprocess.run([git, "ls-files", "labextension"], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = done.stdout.split()
    assert not [name for name in committed if "build/" in name or "node_modules" in name or "lock" in name]


def test_every_direct_dependency_is_pinned() -> None:
    package = json.loads((ROOT / "labextension" / "package.json").read_text("utf-8"))
    versions = package["devDependencies"].values()
    assert all(version.replace(".", "").isdigit() for version in versions)
    assert "dependencies" not in package


def test_the_pure_functions_hold(built: Path) -> None:
    node = shutil.which("node")
    assert node, "node is needed: apt-get install nodejs"
    modules = (built / json.loads((built / "package.json").read_text("utf-8"))["jupyterlab"]["_build"]["load"]).parent
    tests = (ROOT / "labextension" / "tests").glob("*.test.mjs")
    environment = {**os.environ, "MODULES": str(modules)}
    done = subprocess.run(
        [node, "--test", *map(str, tests)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
