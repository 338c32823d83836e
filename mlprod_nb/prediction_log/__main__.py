"""``python -m mlprod_nb.prediction_log --root DIR [--then MODULE]``: compact the workspace's prediction log once.

The gateway's supervisor starts this every few minutes. Where no segment is sealed it ends at once, before it has loaded
what compacting needs. With ``--then`` the process becomes another one when all is compacted: under the same id, so with
the same priority and the same parent, but without the memory that compacting took.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from mlprod_nb import process_log, settings
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.prediction_log import retention
from mlprod_nb.prediction_log.segment_files import sealed_segments

MOST_SECONDS_THEN = 300
"""How long what comes then may take, before the system ends it: the next compaction waits."""


def main() -> int:
    """Read the arguments and compact."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.prediction_log", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    parser.add_argument(
        "--then", default="", metavar="MODULE", help="What to run with --root DIR when all is in files."
    )
    given = parser.parse_args()
    root: Path = given.root.resolve()
    try:
        if _compact(root) and given.then:
            signal.alarm(MOST_SECONDS_THEN)  # which goes on counting, and ends a process that does not expect it
            os.execv(sys.executable, [sys.executable, "-m", given.then, "--root", str(root)])  # noqa: S606
        return 0
    except MlprodError as error:
        _say("ERROR", str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (the supervisor's log must say so; the next run tries again)
        _say("ERROR", f"the prediction log was not compacted: {type(error).__name__}: {error}")
        return MlprodError.exit_code


def _compact(root: Path) -> bool:
    """Compact, and remove what is too old; return whether there was something to do, and no other process does it."""
    layout = settings.Layout(root)
    given = settings.load(root)
    keep_days = given.log.keep_days
    # Of a run that was killed there is always a segment left, too, or a file that is too old.
    if not sealed_segments(layout.log) and not retention.waiting(layout.log, keep_days, utc_now()):
        return False
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.compaction import Compactor
    from mlprod_nb.prediction_log.keys import LogKeys
    from mlprod_nb.results import counted
    from mlprod_nb.store import Store

    store = Store(given.store.url or Store.sqlite_url(layout.database))
    try:
        store.migrate()
        keys = LogKeys.of(layout, given.log)
        done = Compactor(layout.log, Catalogue(store), keys=keys, keep_days=keep_days).run()
    finally:
        store.close()
    for problem in done.problems:
        _say("ERROR", problem)
    if done.segments or done.leftovers:
        rows, segments, files = (
            counted(done.rows, "row"),
            counted(done.segments, "segment"),
            counted(done.files, "file"),
        )
        removed = f"; {counted(done.leftovers, 'leftover')} removed" if done.leftovers else ""
        _say("INFO", f"{rows} of {segments} went into {files}{removed}")
    if done.forgotten.files:
        rows, files = counted(done.forgotten.rows, "row"), counted(done.forgotten.files, "file")
        _say("INFO", f"{rows} in {files} were removed, as [log] keep_days = {keep_days} says")
    return not done.busy


def _say(severity: str, body: str) -> None:
    sys.stderr.write(process_log.line(severity, str(__package__), body) + "\n")


if __name__ == "__main__":
    sys.exit(main())
