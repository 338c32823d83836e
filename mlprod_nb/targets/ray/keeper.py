"""What keeps a gateway on a node: it lives in an actor of Ray, and neither outlives the other.

It knows nothing of Ray. Where the gateway ends by itself, this process ends, too, so that Ray starts both again, here
or on another node.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlprod_nb.errors import Unavailable
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout
from mlprod_nb.targets import asking
from mlprod_nb.targets.local import START_SECONDS, STOP_SECONDS
from mlprod_nb.targets.ray import note
from mlprod_nb.targets.spawning import Spawned

_STEADY_SECONDS = 10.0
_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Errand:
    """What a keeper is sent to do.

    Attributes:
        note: The id of the note that lies in the workspace.
        root: The workspace's directory, the same on every node.
        after_compaction: A module to run after each compaction of the prediction log; empty: none.
        variables: Those of whoever started the gateway that are settings; the actor adopts them.
    """

    note: str
    root: str
    after_compaction: str
    variables: dict[str, str]


@dataclass(frozen=True)
class Node:
    """Where a keeper is.

    Attributes:
        address: At which the other nodes reach it.
        name: Its machine's name.
    """

    address: str
    name: str

    def __str__(self) -> str:
        return f"{self.address} ({self.name})" if self.name else self.address


@dataclass(frozen=True)
class State:
    """How a keeper is.

    Attributes:
        url: Where its gateway answers; empty before it does.
        problem: Why there is no gateway.
    """

    url: str = ""
    problem: str = ""


class Keeper:
    """Runs a workspace's gateway for as long as it lives itself.

    Args:
        errand: What to do.
        node: Where this is.
        again: Whether it was started before, so that nobody waits for what it says: where it fails it tries again.
        leave: Ends the process with an exit code, at once.
        pause_seconds: How long to wait before that, where the gateway did not run for long.
    """

    def __init__(
        self,
        errand: Errand,
        node: Node,
        *,
        again: bool,
        leave: Callable[[int], object] = os._exit,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._errand, self._node, self._again = errand, node, again
        self._leave, self._pause_seconds = leave, pause_seconds
        self._state = State()
        self._stopping = threading.Event()
        self._spawned: Spawned | None = None
        self._thread = threading.Thread(target=self._keep, name="mlprod-gateway", daemon=True)
        root = Path(errand.root)
        found = note.read(root)
        if again and found is None and Layout(root).settings_file.is_file():
            raise Unavailable(f"the gateway of {root} was stopped.")  # Ray starts nothing again that did not begin
        self._thread.start()

    def state(self) -> State:
        """Return how it is."""
        return self._state

    def stop(self) -> None:
        """End the gateway after its last request."""
        self._stopping.set()
        if self._spawned is not None:
            self._spawned.process.terminate()
            self._thread.join(STOP_SECONDS)
            self._spawned.process.kill()
        self._thread.join()

    def _keep(self) -> None:
        """Run the gateway and wait for its end: in one thread, at whose end the system ends the gateway."""
        began = time.monotonic()
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 (whatever it is, whoever started it must hear of it)
            self._end_gateway()
            if not self._again and not self._state.url:
                self._state = State(problem=str(error))
                return
        if self._stopping.is_set():
            return
        if time.monotonic() - began < _STEADY_SECONDS:
            self._stopping.wait(self._pause_seconds)
        self._leave(1)

    def _run(self) -> None:
        root = Path(self._errand.root)
        layout = Layout(root)
        found = note.read(root)
        if found is None or found.id != self._errand.note:
            raise Unavailable(
                f"Ray node {self._node} does not see the workspace {root}: it must lie on storage that the nodes share."
            )
        note.place(root, found, str(self._node))
        gateway_id = uuid.uuid4().hex
        more = ("--with-parent", str(os.getpid()), "--address", self._node.address)
        self._spawned = spawned = Spawned(layout, gateway_id, self._errand.after_compaction, *more)

        def settled() -> bool:
            record = asking.started(layout, gateway_id)
            if record is not None:
                self._state = State(url=record.url)
            return record is not None or self._stopping.is_set() or spawned.process.poll() is not None

        in_time = wait_for(settled, START_SECONDS)
        if not self._state.url and not self._stopping.is_set():
            how = "ended before it answered" if in_time else f"did not answer within {START_SECONDS:.0f} s"
            raise Unavailable(f"the gateway on Ray node {self._node} {how}.{spawned.last_words()}")
        if self._stopping.is_set():
            spawned.process.terminate()
        spawned.process.wait()

    def _end_gateway(self) -> None:
        if self._spawned is not None:
            self._spawned.process.kill()
            self._spawned.process.wait()
