"""A model's own gates: notebooks that end in a verdict, and Python functions of the workspace.

A notebook runs in a fresh kernel with as much of what is known as its parameters cell declares; its executed form is
archived with the report. Both take what ``[models.NAME.gates.GATE]`` sets: a notebook as parameters, a function as
keyword arguments. What shows or returns no verdict is a no.
"""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb import notebooks
from mlprod_nb.errors import ExecutionFailed, NotFound, UsageError
from mlprod_nb.gates.protocol import Gate, GateOutcome, Inspection
from mlprod_nb.lifecycle.checking import held_out
from mlprod_nb.results import Verdict

if TYPE_CHECKING:
    from mlprod_nb.settings import GateSettings


@dataclass(frozen=True)
class Place:
    """Where a model's own gates are found and run.

    Attributes:
        root: The workspace's directory.
        folder: Where executed notebooks go.
        timeout_seconds: Wall-clock limit of one notebook.
    """

    root: Path
    folder: Path
    timeout_seconds: float


@dataclass(frozen=True)
class NotebookGate:
    """A notebook that ends in a verdict.

    Attributes:
        source: The notebook.
        place: Where it runs.
        options: Parameters that the settings give it.
    """

    name: str
    source: Path
    place: Place
    options: Mapping[str, Any] = field(default_factory=dict)

    def check(self, inspection: Inspection) -> GateOutcome:
        """Execute the notebook and read its verdict; its executed form is kept, also where it fails."""
        from mlprod_nb.reports import verdicts

        known = notebooks.declared(notebooks.read(self.source))
        offered = _offered(self.place, inspection, wants_rows="held_out" in known)
        given = {name: value for name, value in offered.items() if name in known} | dict(self.options)
        output = self.place.folder / f"{self.name}.ipynb"
        try:
            notebooks.execute(
                self.source, output, given, timeout_seconds=self.place.timeout_seconds, cwd=self.place.root
            )
            verdict = verdicts.read(notebooks.read(output))
        except notebooks.NotebookFailed as error:
            return self._outcome("alarm", error.message, output)
        except verdicts.VerdictProblem as problem:
            return self._outcome("alarm", f"The notebook {output.name} came to no verdict: {problem}.", output)
        return self._outcome(verdict.status, verdict.sentence, output)

    def _outcome(self, status: Any, sentence: str, output: Path) -> GateOutcome:
        text = sentence[:1].upper() + sentence[1:]
        return GateOutcome(self.name, status, text, notebook=output.name, notebook_sha256=notebooks.sha256(output))


@dataclass(frozen=True)
class FunctionGate:
    """A function of a Python file: it takes the inspection and returns a verdict, or an outcome.

    Attributes:
        source: The file.
        options: Keyword arguments that the settings give it.
    """

    name: str
    source: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    def check(self, inspection: Inspection) -> GateOutcome:
        """Call the function."""
        found = _function(self.source, self.name)(inspection, **self.options)
        if isinstance(found, Verdict):
            return GateOutcome(self.name, found.status, found.sentence)
        if isinstance(found, GateOutcome):
            return found
        raise ExecutionFailed(f"{self.source.name}:{self.name} returned a {type(found).__name__}, not a verdict.")


def of_model(asked: GateSettings, place: Place, taken: Mapping[str, Gate]) -> dict[str, Gate]:
    """Return a model's own gates by name.

    Raises:
        NotFound: A notebook or a file does not exist.
        UsageError: A name is taken, or a function is not named as ``gates.py:fairness``.
    """
    own: dict[str, Gate] = {}
    for text in asked.notebooks:
        source = notebooks.find(text, root=place.root)
        _add(own, taken, NotebookGate(source.stem, source, place, asked.options.get(source.stem, {})))
    for text in asked.functions:
        file, colon, name = text.rpartition(":")
        if not (file and colon and name.isidentifier()):
            raise UsageError(f"{text!r} names no function.", hint="Write FILE.py:FUNCTION, like gates.py:fairness.")
        if not (place.root / file).is_file():
            raise NotFound("file of a gate", file, (path.name for path in place.root.glob("*.py")))
        _add(own, taken, FunctionGate(name, place.root / file, asked.options.get(name, {})))
    return own


def _add(own: dict[str, Gate], taken: Mapping[str, Gate], gate: Gate) -> None:
    if gate.name in taken or gate.name in own:
        raise UsageError(f"the gate {gate.name!r} has a name that is taken.", hint="Rename its file or function.")
    own[gate.name] = gate


def _offered(place: Place, inspection: Inspection, *, wants_rows: bool) -> dict[str, Any]:
    """Return what a notebook may declare as parameters; the held-out rows as a Parquet file, empty without any."""
    around = inspection.surroundings
    rows = ""
    if wants_rows and not isinstance(around.held_out, str):
        rows = str(held_out.write(around.held_out, place.folder / ".rows") / held_out.FILE)
    return {
        "workspace": str(place.root.resolve()),
        "version": inspection.subject,
        "against": "" if isinstance(around.champion, str) else around.champion.subject,
        "held_out": rows,
    }


def _function(source: Path, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(f"_mlprod_gate_{uuid.uuid4().hex}", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise NotFound(f"function in {source.name}", name, (n for n in vars(module) if not n.startswith("_")))
    return found  # type: ignore[no-any-return]
