"""Every block of the docs runs, in a workspace where flights is deployed and the gateway is up."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb.settings import EndpointSettings, Settings
from tests.forks import Forks
from tests.notebook_files import code, write
from tests.workspaces import new_workspace

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SHOWN_ONLY = {"text"}
#: The longest that one block may take, and what is said when a block of Python is done.
SECONDS, DONE = 120, "-- the block is done --"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, text[: match.start()].count("\n") + 1, match[1], match[2]) for match in found]


@dataclass(frozen=True)
class Shell:
    """Starts processes in a workspace: each leads a group of its own, so it can be ended with all that it called."""

    workspace: Path
    forks: Forks

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(self.forks.tools), str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.Popen(
            command,
            cwd=self.workspace,
            env={**os.environ, "PATH": path, "MLPROD_WORKSPACE": str(self.workspace)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )


BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("docs")
    open_workspace = new_workspace(root)
    random = np.random.default_rng(7)
    data = pd.DataFrame({"distance": random.normal(900, 300, 400), "hour": random.integers(5, 23, 400)})
    target = pd.Series((data["hour"] / 23 + random.normal(0, 0.3, 400) > 0.7).astype(int))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data, target)
    open_workspace.register("flights", model=model, data=data, target=target, alias="champion")
    open_workspace.up()
    open_workspace.deploy("flights@champion")
    open_workspace.predict("flights", data=data[:50])
    candidate = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(data, target)
    joblib.dump(candidate, root / "candidate.joblib")
    data.assign(late=target).to_csv(root / "candidate.csv", index=False)
    (root / "notebooks").mkdir(exist_ok=True)
    write(root / "notebooks" / "train.ipynb", code("1"))
    yield root
    open_workspace.down(yes=True)
    open_workspace.context.store.close()


@pytest.fixture(scope="module")
def shell(workspace: Path, forks: Forks) -> Shell:
    return Shell(workspace, forks)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page: Path, shell: Shell) -> None:
    with interpreter(shell) as execute:  # a later block of Python goes on where the one before ended
        run_blocks(page, shell, execute)


def run_blocks(page: Path, shell: Shell, execute: Callable[[Block], None]) -> None:
    for block in blocks(page):
        if block.language == "bash":
            run(block, shell)
        elif block.language == "python":
            execute(block)
        elif block.language == "toml":
            Settings.from_dict(tomllib.loads(block.text))
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            yaml.safe_load(block.text)
        else:
            assert block.language in SHOWN_ONLY, f"{block.name}: a block of a kind that no test runs"


#: Executes each line that comes, a text of Python in JSON, and says when it is done.
LOOP = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    exec(compile(json.loads(line), "<block>", "exec"), names)
    print({DONE!r}, flush=True)
"""


@contextmanager
def interpreter(shell: Shell) -> Iterator[Callable[[Block], None]]:
    """Yield what executes blocks of Python one after the other in a process of their own, which the first starts."""
    started: list[subprocess.Popen[str]] = []

    def execute(block: Block) -> None:
        if not started:
            started.append(shell.start([str(shell.forks.python), "-c", LOOP]))
        process = started[0]
        assert process.stdin is not None
        assert process.stdout is not None
        limit = threading.Timer(SECONDS, kill, [process])
        limit.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(block.text) + "\n")
                process.stdin.flush()
            said: list[str] = []
            for line in process.stdout:
                if line.rstrip("\n") == DONE:
                    return
                said.append(line)
        finally:
            limit.cancel()
        raise AssertionError(f"{block.name}\n{''.join(said)}")

    try:
        yield execute
    finally:
        for process in started:
            process.communicate(timeout=SECONDS)


def run(block: Block, shell: Shell) -> None:
    process = shell.start(["bash", "-euo", "pipefail", "-c", block.text])
    try:
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        kill(process)
    assert process.returncode == 0, f"{block.name}\n{said}"


def kill(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a process and of what it called."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_there_are_blocks_to_run() -> None:
    assert len([block for block in BLOCKS if block.language in {"bash", "python"}]) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_finds_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_settings_of_the_page_are_all_there_are_with_their_defaults() -> None:
    (shown,) = [block for block in BLOCKS if block.page.name == "operating-the-gateway.md" and block.language == "toml"]
    given = tomllib.loads(shown.text)
    defaults = Settings().to_dict()
    for table in ("gateway", "log", "model_worker"):
        assert given[table] == {name: value for name, value in defaults[table].items() if name != "keys"}  # secrets
    flights = EndpointSettings().to_dict()
    del flights["monitor"]
    assert given["endpoints"]["flights"] == flights


def plain(text: str) -> str:
    """Return a text without markup and line ends."""
    return " ".join(re.sub(r"[`*]", "", text).split())


@pytest.mark.parametrize(
    "guarantee", re.findall(r"^> (.+)$", (DOCS / "prediction-log.md").read_text("utf-8"), re.MULTILINE)
)
def test_a_guarantee_of_the_page_is_one_of_the_code(guarantee: str) -> None:
    code = (path.read_text(encoding="utf-8") for path in (DOCS.parent / "mlprod_nb").rglob("*.py"))
    assert any(plain(guarantee) in plain(text) for text in code)
