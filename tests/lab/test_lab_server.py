"""What a real Jupyter server answers to the JupyterLab extension, and what it refuses."""

from __future__ import annotations

import http.cookiejar
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tornado.web import HTTPError

from mlprod_nb import Workspace
from mlprod_nb.lab.places import folder_of
from mlprod_nb.reports import kinds
from tests.browser.jupyterlab import Server, jupyterlab
from tests.lab.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has only the handlers, as an installation without npm has them."""
    folder = tmp_path_factory.mktemp("plain")
    configuration = folder / "prefix" / "etc" / "jupyter" / "jupyter_server_config.d"
    configuration.mkdir(parents=True)
    shutil.copy(ROOT / "mlprod_nb" / "lab" / "jupyter_server_config.json", configuration / "mlprod_nb.json")
    with jupyterlab(folder, installed=folder / "prefix") as running:
        Workspace.init(str(running.root / "flights"))
        yield running


def ask(server: Server, path: str, *, token: str | None = None, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}/mlprod/{path}", data=data)
    request.add_header("Authorization", f"token {server.token if token is None else token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def status(server: Server, path: str) -> tuple[int, dict[str, Any]]:
    return ask(server, "status?" + urllib.parse.urlencode({"path": path}))


def test_a_notebook_s_workspace_is_found_and_its_status_told(plain: Server) -> None:
    code, said = status(plain, "flights/first.ipynb")
    assert code == 200
    assert said["state"]["workspace"] == "flights"
    assert "root" not in said


def test_where_no_workspace_is_the_answer_says_so(plain: Server) -> None:
    assert status(plain, "alone.ipynb") == (200, {"missing": f"There is no workspace at or above {plain.root.name!r}."})


@pytest.mark.parametrize("path", ["../secret.ipynb", "flights/../../secret", "/../etc/passwd", "..", "./.."])
def test_a_path_outside_the_server_s_directory_is_refused(plain: Server, path: str) -> None:
    code, said = status(plain, path)
    assert code == 404
    assert said["message"] == "the path is outside the server's directory"


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HTTPError) as refused:
        folder_of(tmp_path, "a/\0")
    assert refused.value.status_code == 404


def test_an_absolute_path_is_one_below_the_server_s_directory(plain: Server) -> None:
    assert status(plain, f"/{plain.root}/flights")[1].keys() == {"missing"}


@pytest.mark.parametrize(("path", "body"), [("status?path=flights", None), ("notebooks", {"template": "train"})])
def test_without_the_server_s_token_nothing_is_answered(plain: Server, path: str, body: Any) -> None:
    assert ask(plain, path, token="wrong", body=body)[0] == 403
    assert not (plain.root / "train.ipynb").exists()


def test_a_page_of_a_stranger_cannot_make_notebooks_by_the_browser_s_cookie(plain: Server) -> None:
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(jar)
    browser.open(f"{plain.url}/lab?token={plain.token}", timeout=60).close()
    with browser.open(f"{plain.url}/mlprod/status?path=flights", timeout=60) as told:
        assert told.status == 200
    request = urllib.request.Request(f"{plain.url}/mlprod/notebooks", data=b'{"template": "train", "folder": ""}')
    with pytest.raises(urllib.error.HTTPError) as refused:
        browser.open(request, timeout=60)
    assert refused.value.code == 403
    refused.value.close()
    assert list(plain.root.glob("*.ipynb")) == []


def test_asking_for_the_status_keeps_no_idle_server_alive(plain: Server) -> None:
    def last_activity() -> Any:
        request = urllib.request.Request(f"{plain.url}/api/status?no_track_activity=1")
        request.add_header("Authorization", f"token {plain.token}")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["last_activity"]

    before = last_activity()
    assert status(plain, "flights")[0] == 200
    assert last_activity() == before


@pytest.mark.parametrize("template", ["train", "triage"])
def test_a_template_becomes_the_user_s_own_file_and_never_replaces_one(plain: Server, template: str) -> None:
    folder = "flights/own"
    (plain.root / folder).mkdir(exist_ok=True)
    paths = [ask(plain, "notebooks", body={"template": template, "folder": folder}) for _ in range(2)]
    assert [(code, said["path"]) for code, said in paths] == [
        (201, f"{folder}/{template}.ipynb"),
        (201, f"{folder}/{template}-1.ipynb"),
    ]
    first, second = (json.loads((plain.root / said["path"]).read_text("utf-8"))["cells"] for _, said in paths)
    assert [cell["source"] for cell in first] == [cell["source"] for cell in second]
    assert any("mlprod" in "".join(cell["source"]) for cell in first)


def test_an_own_report_is_made_where_the_workspace_looks_for_its_reports_under_a_name_of_its_own(plain: Server) -> None:
    root = Workspace.init(str(plain.root / "boats")).root
    (plain.root / "boats" / "deep").mkdir()
    wanted = (
        {"folder": "boats"},
        {"folder": "boats/deep"},
        {"path": "boats/deep/gone.ipynb"},
        {"path": "boats/x.ipynb"},
    )
    made = [ask(plain, "notebooks", body={"template": "report", **where})[1]["path"] for where in wanted]
    assert made == [
        "boats/own_report.ipynb",
        "boats/notebooks/own_2_report.ipynb",
        "boats/notebooks/own_3_report.ipynb",
        "boats/own_4_report.ipynb",
    ]
    for path, kind in zip(made, ("own", "own_2", "own_3", "own_4"), strict=True):
        assert kinds.source(kind, Path(root)) == (plain.root / path).resolve()
        first = "".join(json.loads((plain.root / path).read_text("utf-8"))["cells"][0]["source"])
        assert first.startswith(
            f"# {kind.replace('_', ' ').capitalize()} report\n\nRun it as a report: `%mlprod report "
        )
        assert f"ENDPOINT {kind}`" in first


def test_notebooks_that_are_made_at_once_get_different_names(plain: Server) -> None:
    Workspace.init(str(plain.root / "many"))
    with ThreadPoolExecutor(6) as pool:
        asked = pool.map(lambda _: ask(plain, "notebooks", body={"template": "retrain", "folder": "many"}), range(6))
        made = {said["path"] for _, said in asked}
    assert made == {"many/retrain.ipynb", *(f"many/retrain_{number}.ipynb" for number in range(2, 7))}


def test_outside_of_a_workspace_an_own_report_is_made_where_the_launcher_is(plain: Server) -> None:
    (plain.root / "nothing").mkdir()
    made = [ask(plain, "notebooks", body={"template": "report", "folder": "nothing"})[1]["path"] for _ in range(2)]
    assert made == ["nothing/own_report.ipynb", "nothing/own_2_report.ipynb"]


def test_a_template_that_is_not_there_is_answered_by_the_nearest(plain: Server) -> None:
    code, said = ask(plain, "notebooks", body={"template": "retrian", "folder": ""})
    assert code == 400
    assert "Did you mean 'retrain'?" in said["message"]


@pytest.mark.parametrize("folder", ["..", "../outside", "nowhere"])
def test_a_notebook_is_made_only_in_a_folder_of_the_server_s(plain: Server, folder: str) -> None:
    (plain.root.parent / "outside").mkdir(exist_ok=True)
    code, _ = ask(plain, "notebooks", body={"template": "train", "folder": folder})
    assert code >= 400
    assert list((plain.root.parent / "outside").iterdir()) == []
    assert not (plain.root.parent / "train.ipynb").exists()


@pytest.mark.parametrize("body", [["train"], "train", {"template": ["train"]}])
def test_a_body_that_is_no_order_is_refused(plain: Server, body: Any) -> None:
    assert ask(plain, "notebooks", body=body)[0] == 400
