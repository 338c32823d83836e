"""A report beside papermill and nbconvert: ``python -m benchmarks.reports [--quick] [--workspace FOLDER]``.

The same notebook for all: ten cells, five small charts, a verdict at the end; its statistics take milliseconds, so what
is measured is everything else. Cold: one report in a process of its own, from its start to its page; beside it
papermill's command line and then nbconvert's, of the same notebook. Batch: twenty reports in one process, as many at a
time as there are cores, whose kernels are forks of one that has imported what they need; beside it papermill's and
nbconvert's functions, called twenty times in one process. The page of many rows is of the same notebook whose table has
100,000.

The statistics are what the cells take a second time in one process, when nothing is imported any more; beyond them is
all the rest. All code is compiled before, on both sides, as it is for a user. The drift report of flights is of a
workspace as ``make demo`` makes one, from a shell, without alibi-detect; its statistics are a second ``monitor`` that
tests the columns together, as the report does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.statistics_page import write_section

TITLE = "Speed of a report"
BATCH = 20
PINNED = '{"endpoint": "flights", "rows": 0, "segments": [], "since": null, "until": null}'
_TIMEOUT_SECONDS = 600
_CHART = """
from matplotlib.figure import Figure

figure = Figure(figsize=(4, 2.2))
figure.subplots().plot(np.cumsum(random.normal(size=200)))
figure.savefig(text := io.StringIO(), format="svg")
SVG(text.getvalue())
"""
_CELLS = (
    "import io\n\nimport numpy as np\nfrom IPython.display import HTML, SVG\n\nrandom = np.random.default_rng(7)",
    "values = random.normal(size=(1_000, 5))",
    "HTML('<table>' + ''.join(f'<tr><td>{row[0]:.3f}</td></tr>' for row in values[:30]) + '</table>')",
    *[_CHART] * 5,
    "from mlprod_nb.results import Verdict\n\nVerdict('ok', f'the mean is {values.mean():.3f}.')",
)
_OURS = """
import sys, time
from pathlib import Path
from mlprod_nb import notebooks, reports
from mlprod_nb.store import Store
root, number, pinned = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
kind = sys.argv[4] if len(sys.argv) > 4 else "own"
store = Store(Store.sqlite_url(root / "state.db"))
store.migrate()
def run(**more):
    begin = time.perf_counter()
    request = reports.ReportRequest("flights", kind, pinned, ("flights/1",), memory_mib=4096, **more)
    found = reports.run_report(request, root=root, store=store)
    print(f"{time.perf_counter() - begin:.3f} {found.page.stat().st_size}", flush=True)
if number == 1:
    with notebooks.EarlyRunner() as early:  # as the shell does
        run(nursery=early)
else:
    from mlprod_nb.reports import together
    list(together.run(["flights"] * number, lambda place: run(nursery=place.nursery, beside=place.beside)))
store.close()
"""
_THEIRS = """
import sys, time
from pathlib import Path
import papermill
from nbconvert import HTMLExporter
root, number, pinned = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for _ in range(number):
    begin = time.perf_counter()
    given = {"endpoint": "flights", "pinned": pinned}
    papermill.execute_notebook(root / "own_report.ipynb", root / "out.ipynb", given, progress_bar=False)
    text, _ = HTMLExporter(exclude_input=True).from_filename(str(root / "out.ipynb"))
    (root / "out.html").write_text(text)
    print(f"{time.perf_counter() - begin:.3f} {len(text.encode())}", flush=True)
"""
_STATISTICS = """
import sys, time
from pathlib import Path
import json
cells = json.loads((Path(sys.argv[1]) / "own_report.ipynb").read_text())["cells"]
for _ in range(2):
    names, begin = {}, time.perf_counter()
    for cell in cells:
        exec(cell["source"], names)
    taken = time.perf_counter() - begin
print(taken)
"""
_MONITOR = """
import sys, time
from mlprod_nb import Workspace
workspace = Workspace.open(sys.argv[1])
for _ in range(2):
    begin = time.perf_counter()
    workspace.monitor("flights", alibi=False, joint=True)
    taken = time.perf_counter() - begin
print(taken)
"""


@dataclass(frozen=True)
class Taken:
    """What something took: seconds, and the processor's of it and of all that it started."""

    seconds: float
    processor: float

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.seconds + other.seconds, self.processor + other.processor)

    def __truediv__(self, number: int) -> Taken:
        return Taken(self.seconds / number, self.processor / number)


def main() -> None:
    """Run everything in turn, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="One run and a batch of two, and no file is written.")
    parser.add_argument("--runs", type=int, default=3, help="How often each is run.")
    parser.add_argument("--workspace", type=Path, help="Measure its drift report; by default a demo's.")
    given = parser.parse_args()
    runs, batch = (1, 2) if given.quick else (given.runs, BATCH)
    found: dict[str, list[Taken]] = {name: [] for name in ("ours", "theirs", "ours batch", "theirs batch")}
    pages: dict[str, tuple[int, int]] = {}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        prepare(root)
        compile_all(root)
        statistics = printed([sys.executable, "-c", _STATISTICS, temporary], root)
        for _ in range(runs):
            found["ours"].append(timed(ours(root, 1), root))
            found["theirs"].append(sum((timed(command, root) for command in command_lines(root)), Taken(0, 0)))
            pages = {
                "ours": page(next(root.glob("reports/flights/own/*/index.html"))),
                "theirs": page(root / "out.html"),
            }
            found["ours batch"].append(timed(ours(root, batch), root) / batch)
            found["theirs batch"].append(timed(theirs(root, batch), root) / batch)
            print({name: str(values[-1]) for name, values in found.items()}, flush=True)
        timed([*ours(root, 1), "many"], root)
        pages["many rows"] = page(next(root.glob("reports/flights/many/*/index.html")))
        drift = [] if given.quick else drift_report(given.workspace or demo(root), root, runs)
    load.append(os.getloadavg()[0])
    lines = render(found, pages, runs, batch)
    lines += ["", beyond("Cold, the notebook above", median(run.seconds for run in found["ours"]), statistics), *drift]
    lines += ["", f"Load of the machine (processes that ran or wanted to): {load[0]:.1f} before, {load[1]:.1f} after."]
    print("\n".join(lines))
    if not given.quick:
        write_section(TITLE, lines, page=Path(__file__).with_name("RESULTS.md"))


def prepare(root: Path) -> None:
    """Write the notebook that all execute, and the same with many rows."""
    head = {"tags": ["parameters"]}
    sources = ['endpoint: str = ""\npinned: str = ""', *map(str.strip, _CELLS)]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": head if number == 0 else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (root / "own_report.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    many = json.dumps(notebook).replace("1_000", "100_000").replace("values[:30]", "values")
    (root / "many_report.ipynb").write_text(many, encoding="utf-8")


def command_lines(root: Path) -> list[list[str]]:
    """Return papermill's command line and nbconvert's."""
    source, output = str(root / "own_report.ipynb"), str(root / "out.ipynb")
    given = ["-p", "endpoint", "flights", "-r", "pinned", PINNED]
    return [
        [sys.executable, "-m", "papermill", source, output, *given, "--no-progress-bar"],
        [sys.executable, "-m", "nbconvert", "--to", "html", "--no-input", output],
    ]


def ours(root: Path, number: int) -> list[str]:
    """Return the process that makes so many reports."""
    return [sys.executable, "-c", _OURS, str(root), str(number), PINNED]


def theirs(root: Path, number: int) -> list[str]:
    """Return the process in which papermill and nbconvert do the same."""
    return [sys.executable, "-c", _THEIRS, str(root), str(number), PINNED]


def compile_all(root: Path) -> None:
    """Run each once: it compiles, and fills the cache of files."""
    for command in (ours(root, 1), ours(root, 2), theirs(root, 1), *command_lines(root)):
        timed(command, root)


def timed(command: list[str], root: Path, ends: tuple[int, ...] = (0,)) -> Taken:
    """Return what a command takes, from its process's start to its end, which must be one of those."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment(root), capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in ends:
        raise SystemExit(done.stderr.decode(errors="replace"))
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Taken(time.perf_counter() - begin, processor)


def printed(command: list[str], root: Path) -> float:
    """Return the number that a command prints last."""
    done = subprocess.run(command, env=environment(root), capture_output=True, timeout=_TIMEOUT_SECONDS, check=True)
    return float(done.stdout.split()[-1])


def environment(root: Path) -> dict[str, str]:
    """Return what all run in: one thread for arithmetic, and compiled code kept as it is on a user's machine."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    return {**os.environ, **compiled, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def demo(root: Path) -> Path:
    """Make a workspace as ``make demo`` does."""
    subprocess.run([sys.executable, "tools/demo.py", str(root / "demo")], capture_output=True, check=True)
    return root / "demo"


def drift_report(workspace: Path, root: Path, runs: int) -> list[str]:
    """Measure the drift report of a workspace's flights from a shell."""
    command = [sys.executable, "-m", "mlprod_nb.cli", "report", "flights", "drift", "--parameters", "alibi=false"]
    command = ["env", "-C", str(workspace.resolve()), *command]
    ends = (0, 1)  # 1: the verdict is no
    timed(command, root, ends)
    seconds = median(timed(command, root, ends).seconds for _ in range(runs))
    statistics = printed([sys.executable, "-c", _MONITOR, str(workspace)], root)
    return ["", beyond("Cold, `mlprod report flights drift`, alibi-detect switched off", seconds, statistics)]


def beyond(what: str, seconds: float, statistics: float) -> str:
    """Say what a report takes beyond its statistics."""
    return (
        f"{what}: {seconds:.2f} s, of which its statistics {statistics:.2f} s; "
        f"beyond them **{seconds - statistics:.2f} s** (goal: at most 4)."
    )


def page(path: Path) -> tuple[int, int]:
    """Return a page's size in kB and how many addresses of others it loads from."""
    text = path.read_text(encoding="utf-8")
    return len(text.encode()) // 1000, len(set(re.findall(r"(?:src|href)=\"(https?://[^\"]+)\"", text)))


def render(found: dict[str, list[Taken]], pages: dict[str, tuple[int, int]], runs: int, batch: int) -> list[str]:
    """Return the section's lines."""
    seconds = {name: median(run.seconds for run in taken) for name, taken in found.items()}
    processor = {name: median(run.processor for run in taken) for name, taken in found.items()}
    rows = [
        ("cold, one report", "ours", "theirs"),
        (f"each of a batch of {batch}", "ours batch", "theirs batch"),
    ]
    return [
        f"`make bench-reports` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("papermill", "nbconvert", "ipykernel")),
        "",
        *[line.strip() for line in (__doc__ or "").strip().splitlines()[2:]],
        "",
        f"Medians of {runs} runs, taken in turn. Processor seconds are those of all processes together; they depend",
        "less on what else the machine does. × is theirs over ours.",
        "",
        "| | mlprod_nb s | processor s | papermill and nbconvert s | processor s | × | × processor |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {what} | {seconds[ours]:.2f} | {processor[ours]:.2f} | {seconds[theirs]:.2f} | {processor[theirs]:.2f} "
            f"| {seconds[theirs] / seconds[ours]:.1f} | {processor[theirs] / processor[ours]:.1f} |"
            for what, ours, theirs in rows
        ],
        "",
        f"The page: {pages['ours'][0]} kB, {pages['ours'][1]} external addresses; of 100,000 rows "
        f"{pages['many rows'][0]} kB, {pages['many rows'][1]}; nbconvert's of 30: "
        f"{pages['theirs'][0]} kB, {pages['theirs'][1]}.",
    ]


if __name__ == "__main__":
    main()
