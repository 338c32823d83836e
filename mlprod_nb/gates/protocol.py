"""What a gate is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from mlprod_nb.registry.bundles import REFERENCE, Bundle
from mlprod_nb.registry.runner import Runner, open_runner

if TYPE_CHECKING:
    import pyarrow as pa

GateStatus = Literal["ok", "warn", "alarm", "skipped"]


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
    """

    name: str
    status: GateStatus
    sentence: str
    value: float | None = None
    limit: float | None = None
    seconds: float = 0.0
    required: bool = False
    notebook: str = ""


class Gate(Protocol):
    """One check of a bundle. To add one, see the entry-point group ``mlprod_nb.gates``.

    A gate is a frozen object: what it needs (limits, a timer) comes in through its constructor. A dataclass's fields
    are what ``[models.NAME.gates.GATE]`` in mlprod.toml may set. It changes nothing, asks no network, and may raise:
    that counts as an alarm. What lacks its rows or its counterpart is skipped, with the reason.
    """

    @property
    def name(self) -> str:
        """The gate's name, unique and in lower case."""
        ...

    def check(self, inspection: Inspection) -> GateOutcome:
        """Check the bundle and say what was found."""
        ...


class Inspection:
    """A bundle under inspection; model and reference sample are loaded once, when a gate first asks.

    Args:
        bundle: The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def runner(self) -> Runner:
        """The bundle's model, loaded in this process."""
        return open_runner(self.bundle)

    @cached_property
    def reference(self) -> pa.Table:
        """The reference sample: the columns, ``__label__``, ``__score__`` and ``__prediction__``."""
        import pyarrow.parquet as pq

        return pq.read_table(self.bundle.path / REFERENCE, partitioning=None)
