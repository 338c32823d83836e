"""The gateway's supervisor: keeps its workers running, replaces what died or hangs, and ends them.

Guarantee: while the supervisor lives, a worker that ended is started again and the port stays open, so that clients
wait instead of being refused; when the supervisor ends, however it does, so does every process it started. It uses the
standard library only, which keeps it at 21 MB. All workers accept from one shared socket: over 64 connections they
differ no more than with a socket each (23 to 41 against 29 to 35), and what a dead or hung one does not accept, the
others do, which with a socket each would wait for its successor.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlprod_nb import process_log
from mlprod_nb.serving.supervision.link import News
from mlprod_nb.serving.supervision.starvation import Starvation

HANG_SECONDS = 1.0
"""How long an event loop may be silent, without the time for which the machine kept it waiting.

With that time, a loaded two-core machine stalls a loop for 1 s at times.
"""

BLIND_HANG_SECONDS = 2.5
"""The same where the system does not tell how long a process is kept waiting."""

START_SECONDS = 60.0
"""How long a worker may take to its first beat: on a cold disk its imports alone have taken 15 s."""

STEADY_SECONDS = 10.0
"""A worker that ran this long before it ended did not fail at start, so its successor starts at once."""

LONGEST_PAUSE_SECONDS = 30.0
COMPACT_SECONDS = 180.0
DRAIN_SECONDS = 38.0
"""Longer than the workers' own limits on a request and on draining, shorter than ``mlprod down`` waits."""

_TICK_SECONDS = 0.1
_NOTICED_SECONDS = 0.4
"""A silence of this length is looked into: a beat comes every 0.25 s."""

_FIRST_PAUSE_SECONDS = 0.5
_HANG_SECONDS = HANG_SECONDS if sys.platform == "linux" else BLIND_HANG_SECONDS
_DEAD_KEPT = 64
_COMPACT_NICE = 10
_PR_SET_PDEATHSIG = 1


@dataclass
class _Slot:
    """One worker's place."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    worker_id: str = ""
    link: socket.socket | None = None
    beaten: bool = False
    silent_seconds: float = 0.0
    starvation: Starvation | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0
    reason: str = ""
    informed: bool = True


class Supervisor:
    """Starts a gateway's workers and keeps them running.

    Args:
        plan: What ``python -m mlprod_nb.serving`` prepared.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._listener: int = plan["listener"]
        self._slots = [_Slot(number) for number in range(plan["workers"])]
        self._dead: deque[str] = deque(maxlen=_DEAD_KEPT)
        self._restarts = 0
        self._ever_started = False
        self._asked = False
        self._stop_at: float | None = None
        self._exit_code = 0
        self._compaction: subprocess.Popen[bytes] | None = None
        self._compact_at = time.monotonic() + COMPACT_SECONDS
        self._selector = selectors.DefaultSelector()
        self._signals, woken = socket.socketpair()
        for end in (self._signals, woken):
            end.setblocking(False)
        self._selector.register(self._signals, selectors.EVENT_READ, None)
        self._woken = woken
        self._die_with_me = end_with_parent(os.getpid(), signal.SIGKILL)

    def run(self) -> int:
        """Supervise until a signal asks to end and the workers have drained; return the exit code."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        while self._stop_at is None or any(slot.process for slot in self._slots):
            if self._asked and self._stop_at is None:
                self._stop(0)
            if self._stop_at is None:
                self._start_due()
                self._compact()
            elif time.monotonic() > self._stop_at:
                self._signal_all(signal.SIGKILL)
            before = time.monotonic()
            self._listen()
            # What this process itself slept through, on a machine that stood still, is not held against the workers.
            self._check(min(time.monotonic() - before, 2 * _TICK_SECONDS))
        self._end_compaction()
        return self._exit_code

    def _ask_to_stop(self, *_: object) -> None:
        self._asked = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is None and now >= slot.next_start:
                self._start(slot, now)
                self._tell()

    def _start(self, slot: _Slot, now: float) -> None:
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        slot.worker_id = os.urandom(16).hex()
        given = {**self._plan, "slot": slot.number, "worker_id": slot.worker_id, "link": theirs.fileno()}
        with theirs:
            process = self._spawn(
                "mlprod_nb.serving.supervision.gateway_worker",
                stdin=subprocess.PIPE,
                pass_fds=(self._listener, self._plan["lock"], theirs.fileno()),
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(json.dumps(given).encode())
        slot.process, slot.link, slot.started = process, mine, now
        slot.beaten, slot.silent_seconds, slot.starvation, slot.informed = False, 0.0, None, False
        self._selector.register(mine, selectors.EVENT_READ, slot)

    def _spawn(self, module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        # This process has one thread, so what runs between fork and exec is safe.
        return subprocess.Popen(command, preexec_fn=self._die_with_me, **options)  # noqa: S603

    def _listen(self) -> None:
        """Wait a moment for beats and signals."""
        for key, _ in self._selector.select(_TICK_SECONDS):
            assert isinstance(key.fileobj, socket.socket)
            with contextlib.suppress(OSError):
                if key.fileobj.recv(4096) and key.data is not None:
                    key.data.silent_seconds, key.data.starvation = 0.0, None
                    key.data.beaten = self._ever_started = True

    def _check(self, elapsed: float) -> None:
        """Reap what ended and kill what hangs."""
        for slot in self._slots:
            if slot.process is None:
                continue
            code = slot.process.poll()
            if code is not None:
                self._ended(slot, code)
                continue
            slot.silent_seconds += elapsed - _kept_waiting(slot, elapsed)
            if self._stop_at is None and slot.silent_seconds > (_HANG_SECONDS if slot.beaten else START_SECONDS):
                slot.process.kill()
                self._ended(slot, slot.process.wait(), f"was silent for {slot.silent_seconds:.1f} s and was killed")
        if not all(slot.informed for slot in self._slots if slot.process):
            self._tell()

    def _ended(self, slot: _Slot, code: int, reason: str = "") -> None:
        assert slot.link is not None
        self._selector.unregister(slot.link)
        slot.link.close()
        slot.process = slot.link = None
        self._dead.append(slot.worker_id)
        if self._stop_at is not None:
            return
        if not self._ever_started and code > 0:
            self._stop(code)  # the first start: whoever asked for it is told at once, with the worker's own words
            return
        now = time.monotonic()
        slot.failures = 1 if now - slot.started > STEADY_SECONDS else slot.failures + 1
        pause = 0.0 if slot.failures == 1 else _FIRST_PAUSE_SECONDS * 2 ** min(slot.failures - 2, 10)
        slot.next_start = now + min(pause, LONGEST_PAUSE_SECONDS)
        slot.reason = reason or _end_in_words(code)
        self._say(f"worker {slot.number} {slot.reason}; it starts again in {slot.next_start - now:.1f} s")
        self._restarts += 1
        self._tell()

    def _tell(self) -> None:
        """Send the news to every worker; one that cannot take it now gets it at the next tick."""
        line = self._news().line()
        for slot in self._slots:
            if slot.link is not None:
                try:
                    slot.informed = slot.link.send(line) == len(line)
                except OSError:
                    slot.informed = False

    def _news(self) -> News:
        now = time.monotonic()
        troubles = []
        for slot in self._slots:
            steady = slot.process is not None and slot.beaten and now - slot.started > STEADY_SECONDS
            if slot.failures > 1 and not steady:
                troubles.append(
                    f"worker {slot.number} ended {slot.failures} times in a row; the last time it {slot.reason}"
                )
        running = sum(slot.process is not None for slot in self._slots)
        return News(running, self._restarts, list(self._dead), troubles)

    def _stop(self, code: int) -> None:
        if self._stop_at is None:
            self._exit_code = code
            self._stop_at = time.monotonic() + DRAIN_SECONDS
            os.close(self._listener)
            self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.send_signal(number)

    def _compact(self) -> None:
        """Start the compaction of the prediction log now and then, one at a time, after the requests in priority."""
        if self._compaction is not None:
            code = self._compaction.poll()
            if code is None:
                return
            if code < 0:  # of any other end it has told itself
                self._say(f"the compaction of the prediction log, or what was to come then, {_end_in_words(code)}")
            self._compaction = None
        now = time.monotonic()
        if now < self._compact_at:
            return
        self._compact_at = now + COMPACT_SECONDS
        then = ("--then", self._plan["after_compaction"]) if self._plan["after_compaction"] else ()
        self._compaction = self._spawn(
            "mlprod_nb.prediction_log", "--root", self._plan["root"], *then, stdin=subprocess.DEVNULL
        )
        os.setpriority(os.PRIO_PROCESS, self._compaction.pid, _COMPACT_NICE)

    def _end_compaction(self) -> None:
        if self._compaction is not None and self._compaction.poll() is None:
            self._compaction.terminate()
            try:
                self._compaction.wait(_FIRST_PAUSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._compaction.kill()

    def _say(self, text: str) -> None:
        sys.stderr.write(process_log.line("WARNING", __name__, text) + "\n")
        sys.stderr.flush()


def _kept_waiting(slot: _Slot, elapsed: float) -> float:
    """Return for how many of the last seconds the machine kept a silent worker waiting."""
    if slot.process is None or slot.silent_seconds < _NOTICED_SECONDS:
        return 0.0
    slot.starvation = slot.starvation or Starvation(slot.process.pid)
    return slot.starvation.since(elapsed)


def _end_in_words(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def end_with_parent(parent: int, by: signal.Signals) -> Callable[[], None]:
    """Return what makes a child end with its parent, where the system can: by SIGKILL also one that hangs."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def arrange() -> None:
        if library is not None:
            library.prctl(_PR_SET_PDEATHSIG, by)
            if os.getppid() != parent:  # it ended before this was arranged
                os._exit(1)

    return arrange


def main() -> int:
    """Supervise; return the exit code."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        plan: dict[str, Any] = json.load(pipe)
    for descriptor in (plan["listener"], plan["lock"]):
        os.set_inheritable(descriptor, False)
    # The numbers of a gateway begin with it.
    shutil.rmtree(Path(plan["root"]) / ".mlprod" / "run" / "metrics", ignore_errors=True)
    return Supervisor(plan).run()


if __name__ == "__main__":
    raise SystemExit(main())
