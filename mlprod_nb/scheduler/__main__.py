"""``python -m mlprod_nb.scheduler --root DIR``: run the workspace's jobs until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from mlprod_nb import settings
from mlprod_nb.errors import MlprodError
from mlprod_nb.scheduler.process import serve


def main() -> int:
    """Read the arguments and be the scheduler."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.scheduler", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    root: Path = parser.parse_args().root.resolve()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        logging.basicConfig(level=settings.load(root).log_level, format="%(asctime)s %(levelname)s %(message)s")
        return serve(root, stop)
    except MlprodError as error:
        logging.error("%s", error)
        return error.exit_code
    except FileNotFoundError as error:
        logging.error("%s is not there", error.filename)
        return 2


if __name__ == "__main__":
    sys.exit(main())
