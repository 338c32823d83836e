"""A report beside papermill and nbconvert: ``python -m benchmarks.reports [--quick]``.

The same notebook for all: ten cells, five small charts, a verdict at the end; its statistics take milliseconds, so what
is measured is everything else. Cold: one report in a process of its own, from its start to its page; beside it
papermill's command line and then nbconvert's, of the same notebook. Batch: twenty reports in one process, whose kernels
are forks of one that has imported what they need; beside it papermill's and nbconvert's functions, called twenty times
in one process. The page of many rows is of the same notebook whose table has 100,000.
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
def run(nursery):
    begin = time.perf_counter()
    request = reports.ReportRequest("flights", kind, pinned, ("flights/1",), memory_mib=4096, nursery=nursery)
    found = reports.run_report(request, root=root, store=store)
    print(f"{time.perf_counter() - begin:.3f} {found.page.stat().st_size}", flush=True)
if number == 1:
    run(None)
else:
    with notebooks.Nursery() as nursery:
        for _ in range(number):
            run(nursery)
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
    given = parser.parse_args()
    runs, batch = (1, 2) if given.quick else (given.runs, BATCH)
    found: dict[str, list[Taken]] = {name: [] for name in ("ours", "theirs", "ours batch", "theirs batch")}
    pages: dict[str, tuple[int, int]] = {}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        prepare(root)
        for _ in range(runs):
            found["ours"].append(timed([sys.executable, "-c", _OURS, temporary, "1", PINNED]))
            found["theirs"].append(sum((timed(command) for command in command_lines(root)), Taken(0, 0)))
            pages = {
                "ours": page(next(root.glob("reports/flights/own/*/index.html"))),
                "theirs": page(root / "out.html"),
            }
            found["ours batch"].append(timed([sys.executable, "-c", _OURS, temporary, str(batch), PINNED]) / batch)
            found["theirs batch"].append(timed([sys.executable, "-c", _THEIRS, temporary, str(batch), PINNED]) / batch)
            print({name: str(values[-1]) for name, values in found.items()}, flush=True)
        timed([sys.executable, "-c", _OURS, temporary, "1", PINNED, "many"])
        pages["many rows"] = page(next(root.glob("reports/flights/many/*/index.html")))
    load.append(os.getloadavg()[0])
    lines = render(found, pages, runs, batch)
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


def timed(command: list[str]) -> Taken:
    """Return what a command takes, from its process's start to its end."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **threads}, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Taken(time.perf_counter() - begin, processor)


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
