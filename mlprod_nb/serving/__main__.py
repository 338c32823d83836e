"""``python -m mlprod_nb.serving --root DIR [--id GATEWAY_ID] [--after-compaction MODULE]``: one gateway.

This process reads the settings, takes the workspace's lock, binds the port and makes the certificate, which needs
packages of 20 MB and more. It then becomes the supervisor, under the same process id and without them.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import NoReturn

from mlprod_nb import __version__, settings
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.serving.supervision import supervisor
from mlprod_nb.settings import Layout

_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.02


def main() -> int:
    """Prepare a gateway and become its supervisor; return an exit code only where this fails."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.serving", description="Run a workspace's gateway.")
    parser.add_argument("--root", type=Path, required=True, help="The workspace's directory.")
    parser.add_argument("--id", default="", help="Unique for each start; made up where left out.")
    parser.add_argument(
        "--after-compaction", default="", metavar="MODULE", help="What to run with --root DIR after each compaction."
    )
    parser.add_argument("--with-parent", type=int, metavar="PID", help="End with this process, which started it.")
    parser.add_argument(
        "--address", default="", help="This machine's, for callers elsewhere, where the gateway listens at all of them."
    )
    given = parser.parse_args()
    if given.with_parent:
        # It stays arranged when this process becomes the supervisor, which answers the last requests first.
        supervisor.end_with_parent(given.with_parent, signal.SIGTERM)()
    try:
        gateway_id = given.id or uuid.uuid4().hex
        _supervise(_prepare(given.root.resolve(), gateway_id, given.after_compaction, given.address))
    except MlprodError as error:
        sys.stderr.write(f"mlprod: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    return code


def _supervise(plan: int) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "mlprod_nb.serving.supervision.supervisor", str(plan)])  # noqa: S606


def _prepare(root: Path, gateway_id: str, after_compaction: str, address: str) -> int:
    """Return a descriptor from which the supervisor reads its plan; never an argument, since URLs hold passwords."""
    from mlprod_nb.serving import listening

    loaded, layout = settings.load(root), Layout(root)
    lock = _lock(layout)
    listener = listening.listen(loaded.gateway, layout)
    url = listening.url_of(listener, loaded.gateway, address)
    files = listening.certificate(loaded.gateway, layout, utc_now, address)
    port = listener.detach()
    plan = {
        "root": str(root),
        "settings": loaded.to_dict(secrets=True),  # through a pipe that nobody else reads
        "gateway_id": gateway_id,
        "version": __version__,
        "url": url,
        "files": [files.cert, files.key] if files else None,
        "workers": loaded.gateway.workers,
        "after_compaction": after_compaction,
        "listener": port,
        "lock": lock,
    }
    reading, writing = os.pipe()
    os.write(writing, json.dumps(plan).encode())
    os.close(writing)
    for descriptor in (port, lock, reading):
        os.set_inheritable(descriptor, True)
    return reading


def _lock(layout: Layout) -> int:
    """Take the workspace's lock, which is free again when the last process of a gateway has ended.

    Raises:
        Refused: Another gateway of the workspace runs.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(layout.gateway_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Refused("a gateway of this workspace runs already.", hint="Stop it with: mlprod down") from None
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor


if __name__ == "__main__":
    raise SystemExit(main())
