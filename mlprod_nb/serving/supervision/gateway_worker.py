"""``python -m mlprod_nb.serving.supervision.gateway_worker``: one worker of a gateway; only its supervisor starts it.

The plan comes on standard input, as one JSON document.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import process_log
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.serving.listening import Certificate
from mlprod_nb.serving.supervision.link import Link, Member
from mlprod_nb.settings import Layout, Settings

# The event loop must not wait Python's ordinary 5 ms when the log's thread takes a turn in the middle of a sync.
_SWITCH_SECONDS = 0.0002


def main() -> int:
    """Serve until told to end; return the exit code."""
    plan: dict[str, Any] = json.load(sys.stdin)
    settings = Settings.from_dict(plan["settings"])
    process_log.configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    link = Link(socket.socket(fileno=plan["link"]))
    member = Member(plan["worker_id"], plan["slot"], os.getppid(), link)
    files = Certificate(*plan["files"]) if plan["files"] else None
    try:
        from mlprod_nb.serving import server

        process = server.Process(Layout(Path(plan["root"])), settings, plan["gateway_id"], utc_now, member)
        server.serve(process, socket.socket(fileno=plan["listener"]), plan["url"], files)
    except MlprodError as error:
        sys.stderr.write(f"mlprod: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
