"""``python -m mlprod_nb.serving --root DIR --id GATEWAY_ID``: one gateway process."""

from __future__ import annotations

import argparse
import logging
import sys
import uuid
from pathlib import Path

from mlprod_nb import settings
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.settings import Layout


def main() -> int:
    """Run a gateway in the foreground; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.serving", description="Run a workspace's gateway.")
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    parser.add_argument("--id", default="", help="Unique for each start; made up where left out.")
    given = parser.parse_args()
    root = given.root.resolve()
    try:
        loaded = settings.load(root)
        logging.basicConfig(
            level=loaded.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        from mlprod_nb.serving import server

        server.run(server.Process(Layout(root), loaded, given.id or uuid.uuid4().hex, utc_now))
    except MlprodError as error:
        sys.stderr.write(f"mlprod: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
