"""What a gate is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import REFERENCE, Bundle
from mlprod_nb.registry.runner import Runner, open_runner

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.gates.footprint import Fresh
    from mlprod_nb.gates.rows import HeldOut, Predicted

GateStatus = Literal["ok", "warn", "alarm", "skipped"]
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class GateOutcome:
    """What one gate found.

    Attributes:
        name: The gate's name.
        status: ``"ok"``; ``"warn"``; ``"alarm"``, which is a no; or ``"skipped"``, of which the sentence is the reason.
        sentence: The finding in one sentence.
        value: What was measured, or ``None``; the sentence says in which unit.
        limit: The largest value that passes, or ``None``.
        seconds: How long the gate took.
        required: Whether the model's settings require it: a required gate that warns or is skipped is a no.
        notebook: The executed notebook of a gate that is one, by its name in the archive; empty elsewhere.
        notebook_sha256: Its digest.
    """

    name: str
    status: GateStatus
    sentence: str
    value: float | None = None
    limit: float | None = None
    seconds: float = 0.0
    required: bool = False
    notebook: str = ""
    notebook_sha256: str = ""


class Gate(Protocol):
    """One check of a bundle. To add one, see the entry-point group ``mlprod_nb.gates``.

    A gate is a frozen object: what it needs (limits, a timer) comes in through its constructor. A dataclass's fields
    are what ``[models.NAME.gates.GATE]`` in mlprod.toml may set. It changes nothing, asks no network, and may raise:
    that counts as an alarm, save :class:`NotTested`, by which it is skipped with its reason.
    """

    @property
    def name(self) -> str:
        """The gate's name, unique and in lower case."""
        ...

    def check(self, inspection: Inspection) -> GateOutcome:
        """Check the bundle and say what was found."""
        ...


class NotTested(Exception):
    """A gate lacks what it needs.

    Args:
        reason: Why, as a clause without its full stop.
    """


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a version is held against, beside its own bundle.

    Attributes:
        held_out: Held-out rows, or why there are none.
        champion: The champion under inspection, or why there is none.
        packages: The recorded packages and their versions; empty where they are not known.
        root: The folder to which a gate's files are relative.
        exhaustive: Whether what takes minutes is tested too.
    """

    held_out: HeldOut | str = "there are no held-out rows"
    champion: Inspection | str = "there is no champion"
    packages: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path()
    exhaustive: bool = False


class Inspection:
    """A bundle under inspection; model, reference sample and predictions are loaded once, when a gate first asks.

    Args:
        bundle: The bundle.
        subject: The version, as ``flights/3``; the bundle's digest where empty.
        surroundings: What it is held against.
    """

    def __init__(self, bundle: Bundle, subject: str = "", surroundings: Surroundings | None = None) -> None:
        self.bundle = bundle
        self.subject = subject or bundle.digest[:12]
        self.surroundings = surroundings or Surroundings()
        self._failed: dict[str, Exception] = {}

    @cached_property
    def runner(self) -> Runner:
        """The bundle's model, loaded in this process."""
        return self._once("runner", lambda: open_runner(self.bundle))

    @cached_property
    def reference(self) -> pa.Table:
        """The reference sample: the columns, ``__label__``, ``__score__`` and ``__prediction__``."""
        import pyarrow.parquet as pq

        return pq.read_table(self.bundle.path / REFERENCE, partitioning=None)

    @cached_property
    def fresh(self) -> Fresh:
        """What it takes to load the bundle in a process of its own.

        Raises:
            ExecutionFailed: It does not load.
        """
        from mlprod_nb.gates.footprint import load_fresh

        return self._once("fresh", lambda: load_fresh(self.bundle))

    @property
    def held_out(self) -> HeldOut:
        """The held-out rows.

        Raises:
            NotTested: There are none.
        """
        if isinstance(self.surroundings.held_out, str):
            raise NotTested(self.surroundings.held_out)
        return self.surroundings.held_out

    @property
    def champion(self) -> Inspection:
        """The champion.

        Raises:
            NotTested: There is none.
        """
        if isinstance(self.surroundings.champion, str):
            raise NotTested(self.surroundings.champion)
        return self.surroundings.champion

    @cached_property
    def predicted(self) -> Predicted:
        """What the model says about the held-out rows."""
        from mlprod_nb.gates.rows import predict

        return predict(self.bundle, self.runner, self.held_out)

    @cached_property
    def predicted_by_champion(self) -> Predicted:
        """What the champion says about the same rows.

        Raises:
            NotTested: It does not take them.
        """
        from mlprod_nb.gates.rows import predict

        champion = self.champion
        try:
            return predict(champion.bundle, champion.runner, self.held_out)
        except InvalidInput as error:
            raise NotTested(f"{champion.subject} does not take these rows: {error.message.rstrip('.')}") from None

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        """Return what is made; what failed fails by the same error again, so that gates tell one cause once.

        A model that did not load in a process of its own is not told a second time for not loading here.
        """
        try:
            if name not in self._failed:
                return make()
        except Exception as error:  # noqa: BLE001 (it is kept, and raised below)
            self._failed[name] = self._failed.get("fresh", error)
        raise self._failed[name]
