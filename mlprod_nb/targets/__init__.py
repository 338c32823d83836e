"""Where endpoints run.

A target starts, finds and stops the gateway of a workspace; ``[gateway] target`` names it. Guarantee: starting twice,
also at once, leaves one gateway. A package adds a target with an entry point in the group ``mlprod_nb.targets``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mlprod_nb import extensions, settings
from mlprod_nb.errors import NotFound
from mlprod_nb.settings import FILE_NAME, Layout
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets.protocol import Condition as Condition
from mlprod_nb.targets.protocol import Target as Target

ENTRY_POINTS = "mlprod_nb.targets"
#: The module of each, which loads when it is first asked for.
BUILT_IN = {"local": "mlprod_nb.targets.local", "ray": "mlprod_nb.targets.ray"}


def get(name: str) -> Target:
    """Return a target by name; one from another package never replaces a built-in one.

    Raises:
        NotFound: There is no such target.
    """
    if name in BUILT_IN:
        built_in: Target = import_module(BUILT_IN[name])
        return built_in
    added: dict[str, Target] = extensions.load(ENTRY_POINTS)
    if name not in added:
        raise NotFound("target", name, {*BUILT_IN, *added}, besides=f"Set target under [gateway] in {FILE_NAME}.")
    return added[name]


def of(root: Path) -> Target:
    """Return the target that started the workspace's gateway last; before the first start, the one that is set.

    Raises:
        NotFound: There is no such target.
    """
    return get(_last(root) or settings.load(root).gateway.target)


def start(root: Path, *, after_compaction: str = "") -> GatewayRecord:
    """Start the workspace's gateway where the settings say; one that runs already, wherever it does, is returned.

    Args:
        root: The workspace's directory.
        after_compaction: A module to run with ``--root`` after each compaction of the prediction log; empty: none.

    Raises:
        NotFound: There is no such target.
        Unavailable: It does not start; the message says why.
    """
    name = settings.load(root).gateway.target
    wanted = get(name)
    if _last(root) not in {"", name}:
        before = of(root)
        found = before.running(root)
        if found is not None:
            return found
        before.stop(root)  # one that is about to be started again would be a second one
    file = _file(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{name}\n", encoding="utf-8")
    return wanted.start(root, after_compaction=after_compaction)


def _last(root: Path) -> str:
    try:
        return _file(root).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _file(root: Path) -> Path:
    return Layout(root).run / "target"
