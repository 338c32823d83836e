"""What is one of its kind is told in the singular."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlprod_nb.lifecycle.access import AuditResult, AuditRow
from mlprod_nb.lifecycle.history import HistoryResult, Move
from mlprod_nb.lifecycle.traffic import FeedbackResult
from mlprod_nb.results import Result

NOON = datetime(2013, 4, 1, 12, tzinfo=UTC)
MOVE = Move(NOON, "ada", "revision 1", "champion 100 %", "active", "", "deploy flights/1")
ENTRY = AuditRow(NOON, "ada", "deploy", "flights", "")


@pytest.mark.parametrize(
    ("result", "headline"),
    [
        (HistoryResult("flights", (MOVE,)), "Endpoint 'flights': 1 move."),
        (HistoryResult("flights", (MOVE, MOVE)), "Endpoint 'flights': 2 moves."),
        (AuditResult((ENTRY,)), "1 entry of the audit trail, newest first."),
        (AuditResult((ENTRY, ENTRY)), "2 entries of the audit trail, newest first."),
        (FeedbackResult("flights", 1, "label"), "1 label taken for 'flights'."),
        (FeedbackResult("flights", 2000, "reward"), "2,000 rewards taken for 'flights'."),
        (
            FeedbackResult(
                "flights", 2, "label", 1, "1 of 2 pieces of feedback names no prediction of 'flights', as 7"
            ),
            "2 labels taken for 'flights'. 1 of 2 pieces of feedback names no prediction of 'flights', as 7.",
        ),
    ],
)
def test_a_headline_counts_in_words_that_fit_the_number(result: Result, headline: str) -> None:
    assert result.headline() == headline
