"""The A/B panel: the confidence sequence over time, whether the test is in order, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Section, Verdict, drawings

if TYPE_CHECKING:
    from mlprod_nb.abtest import ABTestResult


@dataclass(frozen=True)
class ABTestView(Result):
    """An endpoint's newest A/B test.

    Attributes:
        verdict: Its conclusion.
        endpoint: The endpoint's name.
        stopped: Whether it has ended.
        result: All that is known of it; ``None`` where no test was started.
    """

    verdict: Verdict
    endpoint: str
    stopped: bool
    result: ABTestResult | None

    _frame_field: ClassVar[str] = "metrics"

    def sections(self) -> Sequence[Section]:
        """Show the test as its result does."""
        return self.result.sections() if self.result else ()

    def _repr_html_(self) -> str:
        from mlprod_nb.abtest import plots

        drawn = (plots.sequence_svg(self.result), plots.intervals_svg(self.result)) if self.result else ()
        pictures = "".join(drawings.image(svg) for svg in drawn if svg)
        return super()._repr_html_().removesuffix("</div>") + f"<div>{pictures}</div></div>"


def look(context: Context, endpoint: str) -> ABTestView:
    """Return an endpoint's newest test; that there is none, or that it cannot be read yet, is said, never an error."""
    from mlprod_nb.lifecycle.abtests import reading
    from mlprod_nb.lifecycle.watching import watch

    with context.store.read() as connection:
        newest = reading.latest(connection, endpoint)
    stopped = newest.stopped if newest else False
    try:
        result = reading.result(context, watch.Window(endpoint))
    except Refused as error:
        action = "" if newest else f"%mlprod abtest start {endpoint}"
        return ABTestView(Verdict("ok", error.message, action), endpoint, stopped, None)
    return ABTestView(result.verdict, endpoint, stopped, result)
