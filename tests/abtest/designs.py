"""A design as a text, and the result of a table under it."""

from __future__ import annotations

import pyarrow as pa

from mlprod_nb.abtest import ABTestResult, Design, analyse, parse
from tests.abtest.tables import START

NAMES = ("champion", "challenger")
HALF = dict.fromkeys(NAMES, 0.5)


def design(body: str, variants: tuple[str, ...] = NAMES) -> Design:
    return parse(body, endpoint="flights", variants=variants, task="classification", started_at=START)


def result(table: pa.Table, body: str, shares: dict[str, float] = HALF) -> ABTestResult:
    return analyse(table, design(body, tuple(shares)), shares=shares, task="classification", classes=(0, 1))
