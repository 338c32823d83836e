"""Run a report: execute its notebook, read its verdict, render its page, index it by digest."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from mlprod_nb import notebooks, scratch
from mlprod_nb.clock import Clock, iso, utc_now
from mlprod_nb.errors import ExecutionFailed, MlprodError, UsageError
from mlprod_nb.notebooks.files import Notebook, write
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.reports import failures, folders, kinds, since, verdicts
from mlprod_nb.reports.since import Compare
from mlprod_nb.results import AlertChange, Result, Verdict, shown_path
from mlprod_nb.store import DiskFull, Store, evidence, report_index

NOTEBOOK = "report.ipynb"
PAGE = "index.html"
#: What can change a report's numbers; its versions are part of the digest.
_PACKAGES = ("mlprod_nb", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "alibi-detect", "duckdb", "papermill")


@dataclass(frozen=True)
class ReportRequest:
    """Which report to run.

    Attributes:
        endpoint: The endpoint it is about.
        kind: ``drift``, ``abtest``, or ``NAME`` for the workspace's own ``NAME_report.ipynb``.
        pinned: The log range as JSON, so that a replay sees the same rows.
        model_versions: The versions it is about, as ``flights/3``.
        options: Further parameters of the notebook.
        bundles: The digest of each version's bundle, so that a version of the same name is not another.
        settings: What ``mlprod.toml`` sets for the endpoint, which its verdict depends on.
        timeout_seconds: Wall-clock limit of the execution.
        memory_mib: Most memory that its kernel may take, MiB; 0: no limit.
        kernel: The Jupyter kernel that it runs in; empty: this environment.
        nursery: Forks its kernel, in a batch, or has started it early.
        progress: Is told which of its cells is reached.
        beside: Surrounds its execution alone, which is all that reports may do at the same time.
    """

    endpoint: str
    kind: str
    pinned: str
    model_versions: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 900.0
    memory_mib: int = 0
    kernel: str = ""
    nursery: notebooks.Nursery | notebooks.EarlyRunner | None = None
    progress: Progress = SILENCE
    beside: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def within(self) -> notebooks.Surroundings:
        """What its notebook runs in."""
        return notebooks.Surroundings(
            kernel=self.kernel, memory_mib=self.memory_mib, nursery=self.nursery, progress=self.progress
        )


@dataclass(frozen=True)
class ReportResult(Result):
    """A report that came to a verdict.

    Attributes:
        verdict: What it concludes.
        kind: Which report it is.
        endpoint: The endpoint it is about.
        digest: SHA-256 over the verdict and all that it is bound to; what a reviewer approves.
        page: The HTML page.
        notebook: The executed notebook.
        verdict_file: ``verdict.json``.
        seconds: Wall-clock time of the whole.
        since_last_report: What is new, gone or still open since the looks before.
    """

    verdict: Verdict
    kind: str
    endpoint: str
    digest: str
    page: Path
    notebook: Path
    verdict_file: Path
    seconds: float
    since_last_report: tuple[AlertChange, ...] = ()


class ReportFailed(ExecutionFailed):
    """A report came to no verdict.

    Args:
        message: One sentence.
        reason: ``"error"``, ``"timeout"``, ``"output"``, ``"memory"``, ``"died"``, ``"start"``, ``"scratch"``,
            ``"disk"`` or ``"verdict"``.
        page: The page that says what failed.
        notebook: The notebook as far as it came.
        cell_index: Index of the cell at fault in it, or ``None``.
        error_name: The exception's class, or empty.
        error_message: The exception's message, or what is wrong with the verdict.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        page: Path,
        cell_index: int | None,
        error_name: str,
        error_message: str,
    ) -> None:
        self.reason = reason
        self.page = page
        self.notebook = page.with_name(NOTEBOOK)
        self.cell_index = cell_index
        self.error_name = error_name
        self.error_message = error_message
        super().__init__(message, hint=f"See {shown_path(page)}")


def run_report(
    request: ReportRequest, *, root: Path, store: Store, clock: Clock = utc_now, compare: Compare = since.nothing
) -> ReportResult:
    """Run a report in a fresh kernel and keep it whole: notebook, page, ``verdict.json`` and index entry.

    Args:
        request: Which report.
        root: The workspace's directory.
        store: The state database.
        clock: Gives the present moment.
        compare: Tells what the verdict means for what was wrong before; the page opens with it.

    Raises:
        NotFound: There is no such kind of report, or the notebook has no such parameter.
        UsageError: A parameter has the wrong type, or the pinned log range is malformed or another endpoint's.
        ReportFailed: It came to no verdict; its page says why.
    """
    source = kinds.source(request.kind, root)
    run = _Run(request, root, source, binding(request, notebooks.sha256(source)), clock(), time.monotonic())
    # While the notebook runs: what renders the page takes half a second to import.
    threading.Thread(target=_prepare, daemon=True).start()
    with _keeping(run), folders.building(run.parent) as building:
        try:
            folders.reserve(building)
            executed = _execute(run, building / NOTEBOOK)
            return _succeed(run, building, executed, verdicts.read(executed), (store, compare))
        except notebooks.NotebookFailed as error:
            failure = _Failure(error.reason, error.cell_index, error.error_name, error.error_message)
        except verdicts.VerdictProblem as problem:
            failure = _Failure("verdict", problem.cell_index, "", str(problem))
        except (OSError, DiskFull) as error:
            failure = _Failure("disk", None, "", _of_full_disk(error))
        raise _fail(run, building, failure, store)


@contextmanager
def _keeping(run: _Run) -> Iterator[None]:
    """Say in one line that a report cannot be written where not even its page can be."""
    try:
        yield
    except OSError as error:
        what = f"the {run.request.kind} report of {run.request.endpoint!r} cannot be kept in {run.parent}"
        hint = "Make room or give the right to write there, and run it again."
        raise ExecutionFailed(f"{what}: {error.strerror or error}.", hint=hint) from None


def _of_full_disk(error: OSError | DiskFull) -> str:
    """Return what the system says of a disk that is full; any other error is raised again."""
    if isinstance(error, OSError) and error.errno not in scratch.FULL:
        raise error
    return str(error.strerror) if isinstance(error, OSError) else error.message.rstrip(".")


def _prepare() -> None:
    import psutil  # noqa: F401

    from mlprod_nb.reports import render

    render.prepare()


@dataclass(frozen=True)
class _Run:
    request: ReportRequest
    root: Path
    source: Path
    bound_to: dict[str, Any]
    created_at: datetime
    started: float

    @property
    def parent(self) -> Path:
        return self.root / "reports" / folders.name_of(self.request.endpoint) / folders.name_of(self.request.kind)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def facts(self, digest: str = "") -> dict[str, Any]:
        """What the page tells beside the cells; kept in the notebook, so that it can be rendered again."""
        return {
            "kind": self.request.kind,
            "endpoint": self.request.endpoint,
            "bound_to": self.bound_to,
            "created_at": iso(self.created_at),
            "seconds": round(self.seconds, 1),
            "digest": digest,
            "seed": self.request.options.get("seed", notebooks.default(notebooks.read(self.source), "seed")),
        }


def _execute(run: _Run, output: Path) -> Notebook:
    given, limit = parameters(run.request, run.root, run.source), run.request.timeout_seconds
    with run.request.beside():
        notebooks.execute(run.source, output, given, timeout_seconds=limit, cwd=run.root, within=run.request.within)
    return notebooks.read(output)


def parameters(request: ReportRequest, root: Path, source: Path) -> dict[str, Any]:
    """Return what a report's notebook is given."""
    where = {"workspace": str(root.resolve()), "endpoint": request.endpoint, "pinned": request.pinned}
    return kinds.given(source, where, dict(request.options))


def _succeed(
    run: _Run, building: Path, executed: Notebook, verdict: Verdict, past: tuple[Store, Compare]
) -> ReportResult:
    request, (store, compare) = run.request, past
    said = {"status": verdict.status, "sentence": verdict.sentence, "action": verdict.action}
    body = {"verdict": said, "kind": request.kind, "endpoint": request.endpoint, "bound_to": run.bound_to}
    digest = evidence.digest(body)
    evidence.write(building, body)
    changes = since.facts(store, request.endpoint, request.kind, compare(verdict, digest))
    _render(building, executed, run.facts(digest) | {"since": changes})
    folders.release(building)
    name = f"{folders.stamp(run.created_at)}-{digest[: report_index.SHORT]}"
    folder: Path | None = None
    try:
        with store.write() as connection:
            folder = folders.publish(building, name)
            record = report_index.ReportRecord(
                digest=digest,
                kind=request.kind,
                endpoint=request.endpoint,
                status=verdict.status,
                sentence=verdict.sentence,
                path=folder.relative_to(run.root).as_posix(),
                bound_to=run.bound_to,
                created_at=run.created_at,
                files=evidence.seal(folder),
            )
            report_index.add(connection, record)
    except BaseException:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    files = (folder / PAGE, folder / NOTEBOOK, folder / evidence.FILE)
    return ReportResult(verdict, request.kind, request.endpoint, digest, *files, seconds=run.seconds)


@dataclass(frozen=True)
class _Failure:
    """Why there is no verdict; the fields are those of :class:`ReportFailed`."""

    reason: str
    cell: int | None
    error: str
    message: str


def _fail(run: _Run, building: Path, failure: _Failure, store: Store) -> ReportFailed:
    if failure.reason == "disk":
        # What the cells showed is lost, and what the notebook was saved with is of another day.
        executed = _without_outputs(notebooks.read(run.source))
    else:
        executed = notebooks.read(building / NOTEBOOK)
    building.mkdir(exist_ok=True)  # a report that the index could not take has left it
    folders.clear(building)
    executed["metadata"].setdefault("mlprod", {})["failure"] = asdict(failure)
    facts = run.facts()
    with suppress(MlprodError):  # a page that says what failed, also where the store is what failed
        facts["since"] = since.facts(store, run.request.endpoint, run.request.kind, ())
    _render(building, executed, facts)
    folder = folders.publish(building, f"{folders.stamp(run.created_at)}-failed")
    where = f" in cell {failure.cell + 1}" if failure.cell is not None else ""
    what = failures.in_a_line(failure.reason, failure.error, failure.message)
    return ReportFailed(
        f"the {run.request.kind} report of {run.request.endpoint!r} failed{where}: {what.rstrip('.')}.",
        reason=failure.reason,
        page=folder / PAGE,
        cell_index=failure.cell,
        error_name=failure.error,
        error_message=failure.message,
    )


def _without_outputs(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
    return notebook


def _render(building: Path, executed: Notebook, facts: dict[str, Any]) -> None:
    from mlprod_nb.reports import render

    executed["metadata"].setdefault("mlprod", {})["report"] = facts
    (building / NOTEBOOK).unlink(missing_ok=True)  # room for one copy is enough
    write(executed, building / NOTEBOOK)
    (building / PAGE).write_text(render.to_html(executed), encoding="utf-8")


def binding(request: ReportRequest, notebook_sha256: str) -> dict[str, Any]:
    """Return what the verdict depends on. The workspace's place on disk is left out: it may be moved."""
    from mlprod_nb.prediction_log.ranges import LogRange

    pinned = LogRange.from_json(request.pinned)
    if pinned.endpoint != request.endpoint:
        raise UsageError(f"the pinned log range is of endpoint {pinned.endpoint!r}, not {request.endpoint!r}.")
    log_range = json.loads(pinned.to_json()) | {"digest": pinned.digest}
    return {
        "model_versions": sorted(request.model_versions),
        "bundles": dict(request.bundles),
        "log_range": log_range,
        "parameters": dict(request.options),
        "settings": dict(request.settings),
        "notebook_sha256": notebook_sha256,
        "packages": _versions(request.kernel),
    } | ({"kernel": request.kernel} if request.kernel else {})


def _versions(kernel: str) -> dict[str, str]:
    if kernel:
        from mlprod_nb.notebooks import kernels

        return kernels.versions(kernel, _PACKAGES)
    found = {"python": python_version()}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
