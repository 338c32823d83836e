"""``python -m tests.lifecycle.counting_process ROOT``: count files ahead and be killed in it; see :mod:`tests.killed`.

A step is before, in or after a statement of the state database.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa

from tests import killed
from tests.lifecycle.counted_site import open_counted_site
from tests.prediction_log.watched_files import kill_at


def main(root: Path) -> None:
    """Count for each line of standard input."""

    def count(dies_at: int | None) -> None:
        site = open_counted_site(root)
        if dies_at is not None:
            point = kill_at(dies_at)
            for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
                sa.event.listen(site.site.store.engine, event, lambda *_, event=event: point(event))
        assert site.count().problems == {}

    killed.obey(count)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
