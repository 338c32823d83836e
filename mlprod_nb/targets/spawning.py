"""The gateway's command line, and what it says in its own log."""

from __future__ import annotations

import subprocess
import sys

from mlprod_nb import process_log
from mlprod_nb.settings import Layout

_LOG_LINES = 8


class Spawned:
    """A gateway that this process started.

    Args:
        layout: The workspace's.
        gateway_id: Unique for each start.
        after_compaction: A module to run with ``--root`` after each compaction of the prediction log; empty: none.
        more: Further arguments of the gateway.
    """

    def __init__(self, layout: Layout, gateway_id: str, after_compaction: str, *more: str) -> None:
        self._log = layout.run / "gateway.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._began = self._log.stat().st_size if self._log.exists() else 0
        command = [sys.executable, "-m", "mlprod_nb.serving", "--root", str(layout.root), "--id", gateway_id, *more]
        command += ["--after-compaction", after_compaction] if after_compaction else []
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 (our own module, arguments as a list)
                command, cwd=layout.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def last_words(self) -> str:
        """Return what it wrote last since it was started, as a sentence that follows another; or nothing."""
        with self._log.open("rb") as file:
            file.seek(self._began)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return " It said: " + " | ".join(map(process_log.read, lines[-_LOG_LINES:])) if lines else ""
