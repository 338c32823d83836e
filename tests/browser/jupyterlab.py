"""A real JupyterLab in a headless Chromium, on its own directories, without any network beyond the server."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nbformat

from tests import ports

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


_READY = """() => {
  const context = window.jupyterapp.shell.currentWidget?.sessionContext;
  const kernel = context?.isReady && context.session?.kernel;
  return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
}"""


def wait_until(ready: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Poll until something is truthy, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}")


@dataclass(frozen=True)
class Server:
    """A running JupyterLab.

    Attributes:
        url: Where it answers.
        token: Its token.
        root: The directory it shows.
    """

    url: str
    token: str
    root: Path


@contextmanager
def jupyterlab(
    folder: Path, *, named: str = "work", installed: Path | None = None, in_root: bool = False
) -> Iterator[Server]:
    """Start a JupyterLab below a folder, and end it with its kernels.

    Args:
        folder: Where it keeps everything.
        named: What the directory that it shows is called, and so a workspace in it.
        installed: A prefix into which something was installed that it should find; none where ``None``.
        in_root: Whether it is started in the directory that it shows, as users do.
    """
    root = folder / named
    root.mkdir()
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR")
    environment = {**os.environ, **{name: str(folder / name.lower()) for name in homes}}
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "workspaces")
    if installed is not None:
        environment |= {
            "JUPYTER_PATH": str(installed / "share" / "jupyter"),
            "JUPYTER_CONFIG_PATH": str(installed / "etc" / "jupyter"),
        }
        packages = [str(path) for path in installed.glob("lib/python*/site-packages")]
        environment["PYTHONPATH"] = os.pathsep.join([*packages, environment.get("PYTHONPATH", "")]).strip(os.pathsep)
    overrides = folder / "jupyter_config_dir" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps(_QUIET), encoding="utf-8")
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", "--allow-root"]
    command += [f"--IdentityProvider.token={token}"]
    log = folder / "server.log"
    with ports.reserved() as port, log.open("wb") as output:
        options = {"port": port, "port_retries": 0, "root_dir": root, "ip": "127.0.0.1"}
        process = subprocess.Popen(
            [*command, *(f"--ServerApp.{name}={value}" for name, value in options.items())],
            env=environment,
            cwd=root if in_root else None,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", token, root)
            wait_until(lambda: process.poll() is not None or _answers(server), seconds=180, what=f"JupyterLab ({log})")
            assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@dataclass
class Lab:
    """One notebook open in one page.

    Attributes:
        page: Playwright's page.
        server: The server.
        strangers: Addresses beyond the server that the page asked for.
    """

    page: Any
    server: Server
    strangers: list[str] = field(default_factory=list)

    def write(self, name: str, cells: list[str]) -> None:
        """Make a notebook of cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.server.root / name)

    def open_in_notebook(self, name: str, cells: list[str]) -> None:
        """Open a new notebook in Notebook 7, and wait until its kernel is idle."""
        self.write(name, cells)
        self.page.goto(f"{self.server.url}/notebooks/{name}?token={self.server.token}", timeout=60_000)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
        # The indicator says so before there is a kernel, too; what it is told then is lost.
        wait_until(partial(self._listens, name), seconds=60, what=f"a kernel that hears {name}")

    def _listens(self, name: str) -> bool:
        """Tell whether the server has an idle kernel to which a notebook is connected."""
        with urllib.request.urlopen(f"{self.server.url}/api/sessions?token={self.server.token}", timeout=5) as reply:
            kernels = [session["kernel"] for session in json.load(reply) if session["path"] == name]
        return any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels)

    def open(self, name: str, cells: list[str] | None = None) -> None:
        """Open a notebook, made of cells where it is new, and wait until its kernel is idle."""
        if cells is not None:
            self.write(name, cells)
        self.page.goto(f"{self.server.url}/lab/tree/{name}?token={self.server.token}&reset", timeout=60_000)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.wait_for_kernel()
        self.page.evaluate("window.jupyterapp.shell.collapseLeft()")

    def wait_for_kernel(self) -> None:
        """Wait until the kernel of the open notebook is idle."""
        self.page.wait_for_function(_READY, timeout=60_000)

    def command(self, name: str, **arguments: Any) -> None:
        """Run one of JupyterLab's own commands."""
        self.page.evaluate("([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)", [name, arguments])

    def run_by_keyboard(self, count: int, *, seconds: float = 120) -> None:
        """Go to the first cell and press Shift+Enter so many times, each after the last one has ended."""
        self.page.locator(".jp-Notebook .jp-Cell").first.locator(".cm-content").click()
        for index in range(count):
            self.page.keyboard.press("Shift+Enter")
            wait_until(partial(self.has_run, index), seconds=seconds, what=f"cell {index + 1}")

    def has_run(self, index: int) -> bool:
        """Tell whether a cell has ended."""
        return self.prompt(index).strip(" []:").isdigit()

    def prompt(self, index: int) -> str:
        """Return what stands before a cell, as ``[1]:``."""
        return str(self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt").nth(index).inner_text())

    def output(self, index: int) -> Any:
        """Return the output area of a cell."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index).locator(".jp-Cell-outputArea")


@contextmanager
def browser() -> Iterator[Any]:
    """Run Debian's Chromium."""
    assert CHROMIUM.is_file(), "Debian's Chromium is needed: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(_FLAGS))
        try:
            yield running
        finally:
            running.close()


@contextmanager
def lab_alone(profile: Any, server: Server) -> Iterator[Lab]:
    """Open a page of the JupyterLab, and make sure at the end that it asked for nothing beyond its server.

    Args:
        profile: The browser's context: what it has loaded of JupyterLab it need not load again.
        server: The server.
    """
    page = profile.new_page()
    page.set_viewport_size({"width": 1200, "height": 900})
    lab = Lab(page, server)

    def note(request: Any) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            lab.strangers.append(request.url)

    def note_socket(connection: Any) -> None:
        if not connection.url.startswith(server.url.replace("http", "ws", 1)):
            lab.strangers.append(connection.url)

    page.on("request", note)
    page.on("websocket", note_socket)
    try:
        yield lab
        assert lab.strangers == [], "the page asked for something beyond the server"
    finally:
        page.close()


@dataclass(frozen=True)
class Pictures:
    """Screenshots for people to look at.

    Attributes:
        folder: Where they go; where ``None``, none is taken.
    """

    folder: Path | None

    def take(self, part: Any, name: str, **options: Any) -> None:
        """Take a picture of a page or a part of it."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.screenshot(path=str(self.folder / f"{name}.png"), **options)
