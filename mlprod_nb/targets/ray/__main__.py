"""``python -m mlprod_nb.targets.ray start|stop --root DIR [--after-compaction MODULE]``: speaks to the cluster.

What it found is the last line of its output, as JSON. A process of its own, since Ray joins a whole process to one
cluster, with threads, signals and logging, and a notebook's kernel may be in another one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mlprod_nb import settings
from mlprod_nb.errors import MlprodError


def main() -> int:
    """Do what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.targets.ray", description="A gateway on a Ray cluster.")
    parser.add_argument("verb", choices=("start", "stop"))
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    parser.add_argument("--after-compaction", default="", metavar="MODULE")
    given = parser.parse_args()
    found: dict[str, object]
    settings.for_ray()
    try:
        from mlprod_nb.targets.ray import cluster

        if given.verb == "start":
            cluster.start(given.root, given.after_compaction)
            found = {}
        else:
            found = {"stopped": cluster.stop(given.root)}
    except MlprodError as error:
        found = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    sys.stdout.write(f"\n{json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
