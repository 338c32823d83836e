"""``python -m mlprod_nb.serving.supervision.gateway_worker``: one worker of a gateway; only its supervisor starts it.

The plan comes on standard input, as one JSON document. Name and plan are what an older supervisor knows: one that was
started before an upgrade starts the worker of after it, so neither changes without a thought for that.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import __version__, process_log
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.serving.listening import Certificate
from mlprod_nb.serving.supervision.link import Link, Member
from mlprod_nb.settings import Layout, Settings

# The event loop must not wait Python's ordinary 5 ms when the log's thread takes a turn in the middle of a sync.
_SWITCH_SECONDS = 0.0002

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve until told to end; return the exit code."""
    plan: dict[str, Any] = json.load(sys.stdin)
    settings = Settings.from_dict(plan["settings"])
    process_log.configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    link = Link(socket.socket(fileno=plan["link"]))
    member = Member(plan["worker_id"], plan["slot"], os.getppid(), link, plan.get("version", ""))
    mixed = _mixed(member.version)
    if mixed:
        logger.warning("%s", mixed)
    files = Certificate(*plan["files"]) if plan["files"] else None
    try:
        from mlprod_nb.serving import server

        process = server.Process(Layout(Path(plan["root"])), settings, plan["gateway_id"], utc_now, member)
        server.serve(process, socket.socket(fileno=plan["listener"]), plan["url"], files)
    except MlprodError as error:
        sys.stderr.write(f"mlprod: {error} {mixed}".rstrip() + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _mixed(version: str) -> str:
    """Say that the supervisor runs by another version than this worker, and what to do; empty where it does not."""
    if version == __version__:
        return ""
    elder = f"mlprod_nb {version}" if version else "an older mlprod_nb"
    return (
        f"This worker runs by {__version__} in a gateway of {elder}. To renew all of it: mlprod down, then mlprod up."
    )


if __name__ == "__main__":
    raise SystemExit(main())
