"""Reports from a real Jupyter server: listed, served in a sandbox to whoever it let in, and nothing else with them."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from mlprod_nb.lab.reports_handler import SANDBOX, themed
from tests.browser.jupyterlab import Server, jupyterlab
from tests.lab.conftest import ROOT
from tests.lab.samples import a_workspace

pytestmark = pytest.mark.slow
PLACE = "flights/performance/20130501T010000Z-1"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose own settings say of headers what would open the sandbox, and a workspace with reports."""
    folder = tmp_path_factory.mktemp("shelf")
    configuration = folder / "prefix" / "etc" / "jupyter" / "jupyter_server_config.d"
    configuration.mkdir(parents=True)
    shutil.copy(ROOT / "mlprod_nb" / "lab" / "jupyter_server_config.json", configuration / "mlprod_nb.json")
    headers = {"headers": {"Content-Security-Policy": "frame-ancestors *", "Access-Control-Allow-Origin": "null"}}
    (configuration / "open.json").write_text(json.dumps({"ServerApp": {"tornado_settings": headers}}), encoding="utf-8")
    with jupyterlab(folder, installed=folder / "prefix") as running:
        a_workspace(running.root / "flights")
        (running.root.parent / "secret").mkdir()
        (running.root.parent / "secret" / "index.html").write_text("secret", encoding="utf-8")
        yield running


def get(server: Server, path: str, *, token: str | None = None) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(f"{server.url}/mlprod/{path}")
    request.add_header("Authorization", f"token {server.token if token is None else token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def listed(server: Server, path: str = "flights/first.ipynb") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(get(server, f"reports?path={path}")[2])
    return said


def test_a_page_is_served_as_it_was_written_in_a_sandbox_that_no_setting_opens(shelf: Server) -> None:
    said = listed(shelf)
    assert "root" not in said
    for report in said["reports"]["entries"]:
        code, headers, content = get(shelf, f"reports/{said['key']}/{report['page']}")
        assert code == 200
        assert content == (shelf.root / "flights" / "reports" / report["page"]).read_bytes()
        assert headers.get_all("Content-Security-Policy") == [SANDBOX]
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
    assert "allow-" not in SANDBOX
    assert "script-src" not in SANDBOX


def test_what_lies_beside_a_page_is_a_download_in_the_same_sandbox(shelf: Server) -> None:
    code, headers, content = get(shelf, f"reports/{listed(shelf)['key']}/{PLACE}/verdict.json")
    assert (code, content) == (200, b"{}")
    assert headers["Content-Disposition"] == 'attachment; filename="verdict.json"'
    assert headers["Content-Security-Policy"] == SANDBOX


def test_the_key_of_a_workspace_is_the_same_from_each_of_its_notebooks(shelf: Server) -> None:
    assert len({listed(shelf, path)["key"] for path in ("flights", "flights/a.ipynb", "flights/reports/x")}) == 1


@pytest.mark.parametrize("path", ["reports?path=flights", f"reports/KEY/{PLACE}/index.html"])
def test_without_the_server_s_token_nothing_is_told(shelf: Server, path: str) -> None:
    key = listed(shelf)["key"]
    code, _, content = get(shelf, path.replace("KEY", key), token="wrong")
    assert code == 403 or b'id="login_submit"' in content  # a page asks who it is instead
    assert b"drift" not in content


@pytest.mark.parametrize(
    "path",
    [
        "../../secret/index.html",
        "..%2F..%2F..%2Fsecret%2Findex.html",
        "%2e%2e/%2e%2e/%2e%2e/secret/index.html",
        "flights/drift/../../../mlprod.toml",
        "flights/drift/%2e%2e/index.html",
        "flights/drift/linked/index.html",
        "flights/drift/20130501T000000Z-0/linked.html",
        "flights/drift/20130501T000000Z-0/index.html%00",
        "/etc/passwd",
        "flights",
        "flights/drift/20130501T000000Z-0/",
        ".hidden/a/b/index.html",
        "mlprod.toml",
    ],
)
def test_no_path_and_no_link_leads_out_of_the_reports(shelf: Server, path: str) -> None:
    linked = shelf.root / "flights" / "reports" / "flights" / "drift" / "linked"
    if not linked.is_symlink():
        linked.symlink_to(shelf.root.parent / "secret")
    code, _, content = get(shelf, f"reports/{listed(shelf)['key']}/{path}")
    assert code in (400, 404)
    assert b"secret" not in content.replace(b"/secret", b"")


@pytest.mark.parametrize("folder", ["..", "../secret", "flights/../..", "\0", "nowhere"])
def test_a_key_leads_nowhere_but_to_a_workspace_below_the_server_s_directory(shelf: Server, folder: str) -> None:
    key = "w" + base64.urlsafe_b64encode(folder.encode()).decode().rstrip("=")
    assert get(shelf, f"reports/{key}/index.html")[0] == 404
    assert get(shelf, f"reports/{key}!/index.html")[0] == 404
    assert get(shelf, "reports/wA/index.html")[0] == 404


def test_a_folder_of_reports_that_is_a_link_is_not_served(shelf: Server) -> None:
    root = a_workspace(shelf.root / "linked")
    moved = (root / "reports").rename(shelf.root.parent / "moved")
    (root / "reports").symlink_to(moved)
    said = listed(shelf, "linked")
    assert get(shelf, f"reports/{said['key']}/{PLACE}/index.html")[0] == 404


def test_where_there_is_no_workspace_the_list_says_so(shelf: Server) -> None:
    assert listed(shelf, "alone.ipynb").keys() == {"missing"}


def test_a_page_can_be_shown_in_either_theme_whatever_the_browser_prefers() -> None:
    style = (ROOT / "mlprod_nb" / "reports" / "template" / "style.css").read_bytes()
    dark, light = themed(style, "dark"), themed(style, "light")
    assert b"prefers-color-scheme" in style
    assert b"prefers-color-scheme" not in dark + light
    assert (b"@media all{" in dark, b":root{color-scheme:dark;" in dark) == (True, True)
    assert (b"@media not all{" in light, b":root{color-scheme:light;" in light) == (True, True)
    assert themed(style, "") == themed(style, "pink") == style
