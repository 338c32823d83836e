"""``python -m mlprod_nb.lifecycle.watching.counting_ahead --root DIR``: count the log's files before a monitor asks.

The process that compacts becomes this one when its work is done. The prediction log may not know of monitors, so it is
told this module's name: by ``mlprod up``, through the gateway's supervisor. Of each endpoint those files are counted
that nobody has counted yet, against the reference that a look would take now, and kept as a look keeps them.
Guarantee: a file's counts are added, whole or not at all, and nothing else is changed, whatever ends the process and
when; what it did not come to is counted by its next run, or by the look that needs it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb import process_log, settings
from mlprod_nb.errors import MlprodError, unexpected
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.lifecycle.watching.window_counts import WindowCounter
from mlprod_nb.results import counted

if TYPE_CHECKING:
    from mlprod_nb.prediction_log.catalogue import LogFile
    from mlprod_nb.prediction_log.reader import PredictionLog
    from mlprod_nb.registry.bundles import BundleStore
    from mlprod_nb.store import Store

MOST_SECONDS = 60.0
"""After this time no further file is begun: a new reference finds all files to be counted, and compactions wait."""


@dataclass(frozen=True)
class CountedAhead:
    """What was counted ahead.

    Attributes:
        files: How many files were counted.
        left: How many were not begun.
        problems: By endpoint, the last thing that could not be counted and why.
    """

    files: int
    left: int
    problems: dict[str, str]


def count(
    log: PredictionLog, store: Store, bundles: BundleStore, *, clock: Callable[[], float] = time.monotonic
) -> CountedAhead:
    """Count the files that nobody has counted, the newest rows first; each block by block, in one thread.

    Args:
        log: The prediction log.
        store: The state database.
        bundles: The bundles, which hold the references.
        clock: Gives a steady time, seconds.
    """
    from mlprod_nb.prediction_log.lake import Gone

    end, files = clock() + MOST_SECONDS, 0
    waiting, problems = _waiting(log, store, bundles)
    while waiting and clock() < end:
        file, counter = waiting.pop()
        try:
            counter.count_ahead(file)
            files += 1
        except Gone:  # merged into another meanwhile, which is new then
            continue
        except Exception as error:  # noqa: BLE001 (one file must not keep the others from being counted)
            problems[file.endpoint] = _why(error)
    return CountedAhead(files, len(waiting), problems)


def _waiting(
    log: PredictionLog, store: Store, bundles: BundleStore
) -> tuple[list[tuple[LogFile, WindowCounter]], dict[str, str]]:
    """Return the files to count, the newest rows last, and of which endpoints this cannot be told."""
    from mlprod_nb.store import revisions

    with store.read() as connection:
        active = revisions.active(connection)
    found, problems = [], {}
    for endpoint, revision in active.items():
        try:
            variant = main_variant(revision.spec, endpoint)
            counter = WindowCounter.of(log, bundles.get(variant.bundle), variant.model_version)
            found += [(file, counter) for file in counter.uncounted(endpoint)]
        except Exception as error:  # noqa: BLE001 (one endpoint must not keep the others from being counted)
            problems[endpoint] = _why(error)
    return sorted(found, key=lambda each: each[0].last_at), problems


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, MlprodError) else unexpected(error)


def main() -> int:
    """Read the arguments and count; say what was counted, and in one line for each endpoint what was not."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.lifecycle.watching.counting_ahead", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    root: Path = parser.parse_args().root.resolve()
    settings.for_counting()
    try:
        done = _count(root)
    except Exception as error:  # noqa: BLE001 (the gateway's log must say so; the next run tries again)
        _say("ERROR", f"the log's new files were not counted: {_why(error)}")
        return MlprodError.exit_code
    for endpoint, problem in done.problems.items():
        _say("ERROR", f"not all files of endpoint {endpoint!r} were counted: {problem}")
    if done.files:
        left = f"; {done.left:,} are left" if done.left else ""
        _say("INFO", f"{counted(done.files, 'file')} counted ahead of the next look{left}")
    return 0


def _count(root: Path) -> CountedAhead:
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.keys import LogKeys
    from mlprod_nb.prediction_log.reader import PredictionLog
    from mlprod_nb.registry.bundles import BundleStore
    from mlprod_nb.store import Store

    layout = settings.Layout(root)
    found = settings.load(root)
    store = Store(found.store.url or Store.sqlite_url(layout.database))
    log = PredictionLog(layout.log, Catalogue(store), LogKeys.of(layout, found.log))
    try:
        return count(log, store, BundleStore(layout.bundles))
    finally:
        store.close()


def _say(severity: str, body: str) -> None:
    sys.stderr.write(process_log.line(severity, "mlprod_nb.lifecycle.watching.counting_ahead", body) + "\n")


if __name__ == "__main__":
    sys.exit(main())
