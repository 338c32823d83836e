"""What every verb works on: a directory with ``mlprod.toml``, who calls, and the moment."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlprod_nb import settings
from mlprod_nb.clock import Clock, utc_now

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.context import Caller, Context
    from mlprod_nb.lifecycle.logs import LogReader
    from mlprod_nb.lifecycle.training import TrainingReader


class Base:
    """A directory with ``mlprod.toml``, opened by somebody; :class:`mlprod_nb.Workspace` says what it takes."""

    def __init__(self, root: Path, *, caller: Caller | None = None, clock: Clock = utc_now) -> None:
        self.root = root
        self.caller = caller
        self.clock = clock

    @classmethod
    def open(cls, start: str | Path | None = None, *, caller: Caller | None = None) -> Self:
        """Open the workspace at or above a directory.

        Args:
            start: Where to look; by default ``MLPROD_WORKSPACE`` or the current directory.
            caller: Who calls.

        Raises:
            NotFound: No workspace is there.
        """
        return cls(settings.open_root(Path(start) if start else None), caller=caller)

    @property
    def context(self) -> Context:
        """What the stories work on: settings, store, registry, prediction log, caller and clock.

        The moves of aliases that a killed process left unmade are made first.
        """
        from mlprod_nb.lifecycle.alias_moves import owed

        owed.make(self._context)
        return self._context

    @cached_property
    def _context(self) -> Context:
        from mlprod_nb.lifecycle.context import Caller, Context

        return Context(self.root, self.caller or Caller.current(), self.clock)

    @cached_property
    def log(self) -> LogReader:
        """The prediction log as tables, for analysis: ``ws.log("flights", since="7d").to_frame()``."""
        from mlprod_nb.lifecycle.logs import LogReader

        return LogReader(self.context)

    @cached_property
    def training(self) -> TrainingReader:
        """Labelled rows to train on: ``ws.training("flights", since="28d").fit()``."""
        from mlprod_nb.lifecycle.training import TrainingReader

        return TrainingReader(self.context)
