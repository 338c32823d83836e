"""What the panels say above their tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.browser.samples import some_approvals


@pytest.mark.parametrize(
    ("versions", "reports", "said"),
    [
        (0, 0, "Nothing waits for an approval."),
        (0, 1, "1 report waits for an approval."),
        (1, 0, "1 version waits for an approval."),
        (1, 2, "1 version and 2 reports wait for an approval."),
    ],
)
def test_what_waits_for_an_approval_is_said_without_what_is_nought(versions: int, reports: int, said: str) -> None:
    view = some_approvals()
    aliases = [row for row in view.aliases if row.missing] * versions
    unseen = [row for row in view.reports if not row.approved_by] * reports
    assert replace(view, aliases=tuple(aliases), reports=tuple(unseen)).headline() == said
