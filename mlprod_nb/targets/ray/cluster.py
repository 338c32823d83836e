"""The gateway's actor on a Ray cluster. The one module that imports Ray; a process of its own does, which ends soon.

Ray places the gateway, counts its cores and starts it again. Requests go to the gateway itself.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from mlprod_nb import settings
from mlprod_nb.errors import MlprodError, Unavailable
from mlprod_nb.settings import FILE_NAME, Layout, Settings
from mlprod_nb.targets import asking
from mlprod_nb.targets.local import START_SECONDS, STOP_SECONDS
from mlprod_nb.targets.ray import note, placing
from mlprod_nb.targets.ray.keeper import Errand, Keeper, Node, State
from mlprod_nb.targets.ray.note import Note

NAMESPACE = "mlprod"
_PLACE_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_SHARE_OF_A_NODE = 0.001
_START = "ray start --head --include-dashboard=false --disable-usage-stats"


class GatewayActor(Keeper):
    """A keeper in an actor.

    Args:
        errand: What to do.
    """

    def __init__(self, errand: Errand) -> None:
        settings.adopt(errand.variables)
        again = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        super().__init__(errand, Node(ray.util.get_node_ip_address(), socket.gethostname()), again=again)


def start(root: Path, after_compaction: str) -> None:
    """Let the cluster run a workspace's gateway, which may run already, and return when it answers.

    Raises:
        Refused: No node can take it.
        Unavailable: It does not start; nothing of it is left.
    """
    loaded = settings.load(root)
    with _connected(loaded):
        address = placing.choose(loaded, _nodes(), ray.util.get_node_ip_address())
        mine = note.claim(root)
        actor = ray.remote(GatewayActor).options(
            name=_name(mine),
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            num_cpus=placing.cpus(loaded),
            resources={f"node:{address}": _SHARE_OF_A_NODE} if address else {},
        )
        errand = Errand(mine.id, mine.root, after_compaction, settings.variables())
        keeper = actor.remote(errand)
        try:
            _await_answer(keeper, loaded)
        except MlprodError:
            ray.kill(keeper)
            note.remove(root)
            raise


def stop(root: Path) -> bool:
    """End a workspace's gateway on the cluster, after its last request; return whether there was one.

    Raises:
        Unavailable: The cluster cannot be reached, and the gateway may be on another of its nodes.
    """
    loaded = settings.load(root)
    try:
        with _connected(loaded):
            return _end(root, note.read(root))
    except Unavailable:
        # A gateway of this machine ends with the machine's part of the cluster.
        if placing.bound_to_this_machine(loaded) and not _answering(root):
            return False
        raise


def _end(root: Path, mine: Note | None) -> bool:
    try:
        keeper = ray.get_actor(_name(mine), NAMESPACE) if mine else None
    except ValueError:
        keeper = None
    if keeper is None:
        return False
    before = _answering(root)
    # One that is just started again, or hangs, is ended without its last requests.
    with suppress(RayError):
        ray.get(keeper.stop.remote(), timeout=STOP_SECONDS)
    ray.kill(keeper)
    deadline = time.monotonic() + STOP_SECONDS
    while before and _answering(root) == before:
        if time.monotonic() > deadline:
            raise Unavailable(f"the gateway of {root} does not end, though its actor has.")
        time.sleep(_POLL_SECONDS)
    return True


def _answering(root: Path) -> str:
    """Return the id of the gateway that answers now; empty where none does."""
    found = asking.answering(Layout(root), lambda _: False)
    return found.id if found else ""


@contextmanager
def _connected(loaded: Settings) -> Iterator[None]:
    """Connect to the cluster as long as the block lasts.

    Raises:
        Unavailable: It cannot be reached.
    """
    address = loaded.ray.address
    try:
        _see_listening(address)
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        if type(error.__cause__).__name__ == "AuthenticationError":  # older releases have none
            raise Unavailable(
                f"the Ray cluster at {address} does not take the token of this account, or there is none.",
                hint="Give that of the cluster as RAY_AUTH_TOKEN, or in ~/.ray/auth_token.",
            ) from None
        where = "that this machine is a node of" if address == "auto" else f"at {address}, by a node on this machine,"
        raise Unavailable(
            f"the Ray cluster {where} cannot be reached: {_first_line(error)}.",
            hint=f"Start one with: {_START}; or set address under [ray] in {FILE_NAME}.",
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _see_listening(address: str) -> None:
    """Raise ``OSError`` where nothing listens at an address: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def _nodes() -> dict[str, float]:
    """Return the cores of each node that lives, by its address; of several with one address, the larger's."""
    found: dict[str, float] = {}
    for each in ray.nodes():
        if each["Alive"]:
            address, cores = each["NodeManagerAddress"], float(each["Resources"].get("CPU", 0))
            found[address] = max(cores, found.get(address, 0))
    return found


def _await_answer(keeper: Any, loaded: Settings) -> None:
    deadline = time.monotonic() + _PLACE_SECONDS + START_SECONDS
    while time.monotonic() < deadline:
        state = _state(keeper, loaded)
        if state is not None and state.problem:
            raise Unavailable(state.problem)
        if state is not None and state.url:
            return
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"the gateway on the Ray cluster did not answer within {_PLACE_SECONDS + START_SECONDS:.0f} s.")


def _state(keeper: Any, loaded: Settings) -> State | None:
    """Return how a keeper is; ``None`` while Ray starts it again."""
    try:
        state: State = ray.get(keeper.state.remote(), timeout=_PLACE_SECONDS)
    except GetTimeoutError:
        raise Unavailable(
            f"no node of the Ray cluster that may run the gateway had {placing.cpus(loaded):g} free cores"
            f" within {_PLACE_SECONDS:.0f} s.",
            hint="Look at what takes them with: ray status",
        ) from None
    except RayActorError as error:
        if _is_dead(error):
            raise Unavailable(
                f"the gateway's actor did not start on the Ray cluster: {_last_line(error)}",
                hint="Every node needs mlprod_nb of the same version.",
            ) from None
        return None
    return state


def _is_dead(error: RayActorError) -> bool:
    from ray.exceptions import ActorUnavailableError

    return not isinstance(error, ActorUnavailableError)


def _name(of: Note) -> str:
    return f"mlprod gateway of {of.root} ({of.id})"


def _first_line(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next(iter(said.strip().splitlines()), type(error).__name__).rstrip(".")


def _last_line(error: Exception) -> str:
    return next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), type(error).__name__)
