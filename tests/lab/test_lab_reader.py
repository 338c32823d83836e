"""What the Jupyter server learns of a workspace, and that nothing that happens there reaches the server."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import Unavailable
from mlprod_nb.lab.__main__ import answer
from mlprod_nb.lab.reader import Reader
from mlprod_nb.store import Store, gateways
from mlprod_nb.store.gateways import GatewayRecord
from tests.lab.samples import a_workspace

#: Answers like the real one, and hangs or ends where it is told to.
FAKE = """
import json, sys, time
for line in sys.stdin:
    question = json.loads(line)
    if question["folder"] == "hang": time.sleep(600)
    if question["folder"] == "end": sys.exit(1)
    print(json.dumps({"heard": question["folder"]}), flush=True)
"""


def reader(*, answer_seconds: float = 20.0, idle_seconds: float = 60.0) -> Reader:
    return Reader((sys.executable, "-c", FAKE), answer_seconds=answer_seconds, idle_seconds=idle_seconds)


def runs(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLPROD_WORKSPACE", raising=False)
    folder = (tmp_path / "flights").resolve()
    Workspace.init(str(folder))
    return folder


async def test_questions_that_come_at_once_get_their_own_answers_from_one_process() -> None:
    one = reader()
    answers = await asyncio.gather(*(one.ask({"folder": str(n)}) for n in range(20)))
    assert answers == [{"heard": str(n)} for n in range(20)]
    await one.end()


async def test_what_hangs_is_killed_at_the_deadline_and_the_next_question_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = reader()
    await one.ask({"folder": "a"})
    hung = one.pid
    with monkeypatch.context() as patched:  # a deadline that only what hangs meets
        patched.setattr(one, "_answer_seconds", 0.2)
        with pytest.raises(Unavailable, match=r"not read within 0\.2 s\."):
            await one.ask({"folder": "hang"})
    assert not runs(hung)
    assert await one.ask({"folder": "b"}) == {"heard": "b"}
    await one.end()


async def test_the_server_s_other_work_goes_on_while_a_workspace_is_read() -> None:
    one = reader(answer_seconds=60)
    asked = asyncio.create_task(one.ask({"folder": "hang"}))
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert not asked.done()
    asked.cancel()
    await asyncio.wait((asked,))
    assert one.pid is None


async def test_a_process_that_ends_over_a_question_is_said_and_started_anew() -> None:
    one = reader()
    with pytest.raises(Unavailable, match="the process that reads workspaces ended"):
        await one.ask({"folder": "end"})
    assert await one.ask({"folder": "b"}) == {"heard": "b"}
    await one.end()


async def test_a_process_that_nobody_asks_any_more_ends() -> None:
    one = reader(idle_seconds=0.05)
    await one.ask({"folder": "a"})
    process = one._process
    assert process is not None
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert await one.ask({"folder": "b"}) == {"heard": "b"}
    await one.end()


async def test_the_real_process_answers_and_what_is_printed_there_is_no_answer(root: Path) -> None:
    one = Reader()
    said = await one.ask({"folder": str(root)})
    assert said["state"]["workspace"] == "flights"
    assert said["root"] == str(root)
    await one.end()


def test_a_notebook_anywhere_in_a_workspace_shows_its_status(root: Path) -> None:
    below = root / "notebooks" / "deep"
    below.mkdir(parents=True)
    said = answer(below, asked=False)
    assert said["root"] == str(root)
    assert said["state"]["refresh"] == "%mlprod status"
    assert said["state"]["verdict"]["sentence"] == "nothing is deployed yet."


def test_reports_are_listed_the_newest_first_also_what_failed_and_no_state_is_told(tmp_path: Path) -> None:
    said = answer(a_workspace(tmp_path / "flights"), asked=False, wants="reports")
    assert said.keys() == {"root", "reports"}
    reports = said["reports"]
    assert (reports["title"], reports["left_out"]) == ("flights", 0)
    assert [(one["kind"], one["status"]) for one in reports["entries"]] == [
        ("drift", "warn"),
        ("performance", "alarm"),
        ("drift", "ok"),
        ("drift", "failed"),
    ]
    assert reports["entries"][0]["page"] == "flights/drift/20130501T020000Z-2/index.html"
    assert reports["entries"][0]["digest"] == "c" * 12
    assert reports["entries"][3]["sentence"] == "Cell 3 raised KeyError."


def test_where_no_workspace_is_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPROD_WORKSPACE", raising=False)
    assert answer(tmp_path, asked=False) == {"missing": f"There is no workspace at or above {tmp_path.name!r}."}


def test_the_variable_that_names_the_workspace_for_kernels_names_it_here(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPROD_WORKSPACE", str(root))
    assert answer(tmp_path, asked=False)["root"] == str(root)


def test_settings_that_are_wrong_are_a_problem_in_words(root: Path) -> None:
    (root / "mlprod.toml").write_text("[gateway]\nprot = 1\n", encoding="utf-8")
    assert "Did you mean 'port'?" in answer(root, asked=False)["problem"]


def test_a_state_that_lies_elsewhere_is_read_only_when_asked_for(root: Path) -> None:
    elsewhere = root.parent / "elsewhere.db"
    url = f"sqlite:///{elsewhere}"
    (root / "mlprod.toml").write_text(f'[store]\nurl = "{url}"\n', encoding="utf-8")
    assert answer(root, asked=False) == {"root": str(root), "asks": f"its state is kept at {url}"}
    assert not elsewhere.exists()
    assert answer(root, asked=True)["state"]["workspace"] == "flights"
    assert elsewhere.exists()


def test_the_password_of_a_database_is_not_shown(root: Path) -> None:
    (root / "mlprod.toml").write_text('[store]\nurl = "postgresql://ada:secret@db.test/state"\n', encoding="utf-8")
    assert answer(root, asked=False)["asks"] == "its state is kept at postgresql://db.test/state"


def test_a_state_that_is_a_link_out_of_the_workspace_is_read_only_when_asked_for(root: Path) -> None:
    Workspace.open(root).status()
    database = root / ".mlprod" / "state.db"
    moved = database.rename(root.parent / "other.db")
    database.symlink_to(moved)
    assert answer(root, asked=False)["asks"] == f"state.db is a link to {moved}"


def test_a_gateway_on_another_machine_is_called_only_when_asked_for(root: Path) -> None:
    Workspace.open(root).status()
    store = Store(Store.sqlite_url(root / ".mlprod" / "state.db"))
    record = GatewayRecord("a" * 32, 1, "http://192.0.2.7:80", datetime.now(UTC))
    with store.write() as connection:
        gateways.announce(connection, record)
    store.close()
    assert answer(root, asked=False)["asks"] == "its gateway is at http://192.0.2.7:80"
