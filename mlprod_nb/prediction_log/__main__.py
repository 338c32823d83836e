"""``python -m mlprod_nb.prediction_log --root DIR``: compact the workspace's prediction log once.

The gateway's supervisor starts this every few minutes. Where no segment is sealed it ends at once, before it has loaded
what compacting needs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mlprod_nb import process_log, settings
from mlprod_nb.errors import MlprodError
from mlprod_nb.prediction_log.segment_files import sealed_segments


def main() -> int:
    """Read the arguments and compact."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.prediction_log", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    root: Path = parser.parse_args().root.resolve()
    try:
        return _compact(root)
    except MlprodError as error:
        _say("ERROR", str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (the supervisor's log must say so; the next run tries again)
        _say("ERROR", f"the prediction log was not compacted: {type(error).__name__}: {error}")
        return MlprodError.exit_code


def _compact(root: Path) -> int:
    layout = settings.Layout(root)
    if not sealed_segments(layout.log):  # of a run that was killed there is always a segment left, too
        return 0
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.compaction import Compactor
    from mlprod_nb.results import counted
    from mlprod_nb.store import Store

    store = Store(settings.load(root).store.url or Store.sqlite_url(layout.database))
    try:
        store.migrate()
        done = Compactor(layout.log, Catalogue(store)).run()
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
    return 0


def _say(severity: str, body: str) -> None:
    sys.stderr.write(process_log.line(severity, str(__package__), body) + "\n")


if __name__ == "__main__":
    sys.exit(main())
