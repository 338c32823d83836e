"""Models that answer the warm-up rows wrongly are not opened, and nothing of them is left behind."""

from __future__ import annotations

import numpy as np
import pytest

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.columns import Columns
from mlprod_nb.serving.models.batching import Scores
from mlprod_nb.serving.models.loaded import _warm
from tests.serving.workshop import make_odd_bundle

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_odd_bundle(tmp_path_factory.mktemp("odd") / "bundle")


class Fixed:
    """A runtime that gives the same number of equal scores whatever it is asked."""

    def __init__(self, score: float, *, missing: int = 0) -> None:
        self._score, self._missing = score, missing

    def admit(self) -> None:
        """Let everyone in."""

    async def score(self, columns: Columns, rows: int) -> Scores:
        return await self.warm_up(columns, rows)

    async def warm_up(self, columns: Columns, rows: int) -> Scores:
        given = rows - self._missing
        return Scores([0] * given, np.full(given, self._score))

    async def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        (Fixed(float("nan")), "disagrees"),
        (Fixed(float("inf")), "disagrees"),
        (Fixed(0.123), "disagrees"),
        (Fixed(0.5, missing=1), "warm-up rows"),
    ],
    ids=["not a number", "infinite", "other scores", "a row too few"],
)
async def test_a_model_that_answers_the_warm_up_rows_wrongly_is_refused(
    odd: Bundle, runtime: Fixed, reason: str
) -> None:
    with pytest.raises(ExecutionFailed, match=reason):
        await _warm(odd, runtime)
