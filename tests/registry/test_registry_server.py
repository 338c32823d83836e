"""A tracking server that is gone, silent or behind a proxy is told at once, by its address and without its secrets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlprod_nb.errors import Unavailable, UsageError
from mlprod_nb.registry import server
from mlprod_nb.registry.models import Registry


class Proxy(BaseHTTPRequestHandler):
    """Answers everything with one status, and counts."""

    status = 503
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[tuple[str, type[Proxy]]]:
    handler = type("Counted", (Proxy,), {})
    serving = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}", handler
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_is_gone_is_named_without_its_password(nobody: int, tmp_path: Path) -> None:
    address = f"http://ann:hidden@127.0.0.1:{nobody}/mlflow"
    registry = Registry(address, tmp_path)
    assert not registry.reachable()
    for ask in (registry.models, lambda: registry.aliases("flights"), lambda: registry.resolve("flights/1")):
        with pytest.raises(Unavailable) as told:
            ask()
        assert str(told.value) == (
            f"the MLflow registry at http://127.0.0.1:{nobody}/mlflow cannot be reached."
            " Start it, or correct [registry] tracking_uri in mlprod.toml."
        )


def test_a_proxy_without_its_server_is_asked_once(proxy: tuple[str, type[Proxy]], tmp_path: Path) -> None:
    address, handler = proxy
    with pytest.raises(Unavailable, match=f"{address} answers with status 503"):
        Registry(address, tmp_path).models()
    assert handler.asked == 1


def test_a_server_that_takes_the_question_and_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"{address} is silent for 0.2 s"):
            Registry(address, tmp_path).models()


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
def test_any_answer_of_a_server_itself_shows_that_it_is_there(proxy: tuple[str, type[Proxy]], status: int) -> None:
    address, handler = proxy
    handler.status = status
    assert server.silence(address) == ""


@pytest.mark.parametrize("uri", ["postgres", "mlflow.db", "http//127.0.0.1:5000"])
def test_a_word_that_is_no_address_is_told_as_the_setting_it_is(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"^\[registry\] tracking_uri in mlprod.toml is '{uri}', which is no address"):
        Registry(uri, tmp_path).models()


@pytest.mark.parametrize("scheme", ["ftp", "htpt", "s3"])
def test_an_address_of_a_kind_that_mlflow_does_not_know_is_told_as_the_setting_it_is(
    scheme: str, tmp_path: Path
) -> None:
    said = (
        f"tracking_uri in mlprod.toml begins with '{scheme}', and MLflow knows no such registry. Write it as \"http://"
    )
    with pytest.raises(UsageError, match=said) as told:
        Registry(f"{scheme}://ann:hidden@127.0.0.1/mlflow", tmp_path).models()
    assert "hidden" not in str(told.value)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=f"the MLflow registry cannot be kept in {tmp_path}/file/below: "):
        Registry(f"sqlite:///{tmp_path}/file/below/mlflow.db", tmp_path).models()


def test_an_address_that_is_none_is_no_fault_of_ours(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is no address that can be asked"):
        Registry("http://", tmp_path).models()
