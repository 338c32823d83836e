"""How long TAB takes in a kernel, over Jupyter's own protocol, in a workspace of ten thousand versions.

Beside it stands IPython's own completion of an attribute in the same kernel. ``python -m benchmarks.completion``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from benchmarks.statistics_page import write_section
from mlprod_nb import Workspace
from mlprod_nb.lifecycle.completing import names
from mlprod_nb.lifecycle.completing.names import Names
from mlprod_nb.settings import Layout

TITLE = "Speed of TAB"
_MODELS, _VERSIONS, _COLUMNS = 200, 50, 100
_PEER = "numbers.nonz"
_LINES = (
    "%mlprod ",
    "%mlprod deploy model1",
    "%mlprod deploy model199/",
    "%mlprod deploy model1@champion --endpoint m",
    "x = %mlprod monitor mo",
    "%%mlprod register model3 --model $cl",
    "%mlprod register model3 --data ./ro",
)
_SECONDS = 60


@dataclass(frozen=True)
class Answered:
    """How long one line's TAB took, in milliseconds, and how many words were offered."""

    line: str
    offered: int
    median_ms: float
    worst_ms: float


def main() -> None:
    """Measure, print, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="Five times a line, and no file is written.")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as temporary, kernel(Path(temporary)) as client:
        load = execute(client, "%load_ext mlprod_nb")
        execute(client, "import numpy as np; numbers = np.zeros(3); classifier = object()")
        found = [answered(client, line, 5 if quick else 50) for line in (_PEER, *_LINES)]
    lines = render(found, load)
    print("\n".join(lines))
    if not quick:
        write_section(TITLE, lines, page=Path(__file__).with_name("RESULTS.md"))


@contextmanager
def kernel(root: Path) -> Iterator[BlockingKernelClient]:
    """Start a kernel in a workspace whose file of names is as large as a big team's."""
    Workspace.init(str(root))
    (root / "rows.parquet").touch()
    models = [f"model{number}" for number in range(_MODELS)]
    known = Names(
        models={name: [f"{name}/{version}" for version in range(_VERSIONS, 0, -1)] for name in models},
        aliases={name: [f"{name}@champion"] for name in models},
        endpoints=models,
        columns={name: [f"column{number}" for number in range(_COLUMNS)] for name in models},
    )
    names.write(Layout(root), known)
    manager, client = start_new_kernel(cwd=str(root), env={**os.environ, "MLPROD_WORKSPACE": str(root)})
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: BlockingKernelClient, code: str) -> float:
    """Run a cell and return the milliseconds that it took."""
    begun = time.perf_counter()
    reply = client.execute(code, reply=True, timeout=_SECONDS)
    assert reply["content"]["status"] == "ok", reply["content"]
    return 1000 * (time.perf_counter() - begun)


def answered(client: BlockingKernelClient, line: str, times: int) -> Answered:
    """Press TAB at a line's end so many times, after one that does not count."""
    spent: list[float] = []
    matches: list[str] = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        reply = client.complete(line, len(line), reply=True, timeout=_SECONDS)
        spent.append(1000 * (time.perf_counter() - begun))
        matches = reply["content"]["matches"]
    return Answered(line, len(matches), median(spent[1:]), max(spent[1:]))


def render(found: list[Answered], load_ms: float) -> list[str]:
    """Return the section: the first line is IPython's own."""
    peer = found[0].median_ms
    rows = (
        f"| `{one.line}` | {one.offered} | {one.median_ms:.1f} | {one.worst_ms:.1f} | {one.median_ms / peer:.1f} |"
        for one in found
    )
    return [
        "`python -m benchmarks.completion`: from the request to the reply of a kernel, in a workspace with",
        f"{_MODELS * _VERSIONS:,} versions of {_MODELS} models. The first line is IPython's own completion of an",
        f"attribute, in the same kernel. The goal is 50 ms. `%load_ext mlprod_nb` took {load_ms:.0f} ms (goal: 300).",
        "",
        "| line | offered | median ms | worst ms | × IPython's |",
        "|---|---|---|---|---|",
        *rows,
    ]


if __name__ == "__main__":
    main()
