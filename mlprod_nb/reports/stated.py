"""A verdict that a notebook states: by a word and a sentence, or by a result that has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import Result, Status, Verdict

_STATUSES: dict[str, Status] = {"ok": "ok", "warn": "warn", "alarm": "alarm"}


@dataclass(frozen=True)
class StatedVerdict(Result):
    """A verdict as a cell's output; in a report the notebook's one.

    Attributes:
        verdict: The conclusion.
    """

    verdict: Verdict

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show what a verdict shows, which marks the cell as the notebook's verdict."""
        return self.verdict._repr_mimebundle_(include, exclude)


def state(said: Any, sentence: str, action: str) -> StatedVerdict:
    """Return the verdict that is said.

    Args:
        said: ``ok``, ``warn`` or ``alarm``; or a verdict, or a result that has one.
        sentence: The conclusion in one sentence, where a word is given.
        action: The exact line to run next; in place of the result's own where a result is given.

    Raises:
        NotFound: There is no such word.
        UsageError: The sentence is missing, or what is given has no verdict.
    """
    if isinstance(said, str):
        status = _STATUSES.get(said)
        if status is None:
            raise NotFound("verdict", said, _STATUSES)
        if not sentence.strip():
            raise UsageError(f"a verdict needs a sentence after {said}.", hint=f'Write: verdict {said} "why".')
        return StatedVerdict(Verdict(status, sentence.strip(), action))
    verdict = said if isinstance(said, Verdict) else getattr(said, "verdict", None)
    if not isinstance(verdict, Verdict):
        raise UsageError(f"a {type(said).__name__} has no verdict.", hint='Write: verdict ok "why", warn or alarm.')
    if sentence:
        raise UsageError("a result says its sentence itself.", hint="Drop the sentence, or write ok, warn or alarm.")
    return StatedVerdict(Verdict(verdict.status, verdict.sentence, action or verdict.action, verdict.causes))
