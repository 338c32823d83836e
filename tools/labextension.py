"""Put the built JupyterLab extension into the wheel, where it was built and is current.

`make labextension` builds it, with npm. Where it is absent or stale the package is built without it, which says so;
with MLPROD_LABEXTENSION=required that is an error. JupyterLab then has no such extension, and all else is the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "mlprod-nb"
BUILT = Path("labextension/build/labextensions") / NAME
#: What the build leaves aside.
_ASIDE = ("node_modules", "build", "tests")


class LabextensionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension to the data files of a wheel, and its built form to a source distribution."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Add what was built.

        Raises:
            RuntimeError: It is required and not there.
        """
        root = Path(self.root)
        problem = trouble(root)
        if problem:
            if os.environ.get("MLPROD_LABEXTENSION") == "required":
                raise RuntimeError(problem)
            self.app.display_warning(f"{problem} The package is built without the extension.")
        elif self.target_name == "wheel":
            build_data["shared_data"][str(root / BUILT)] = f"share/jupyter/labextensions/{NAME}"
        else:
            build_data["artifacts"].append(f"/{BUILT.as_posix()}/")


def trouble(root: Path) -> str:
    """Say why the built extension cannot be used; empty where it can.

    Args:
        root: The source tree.
    """
    file = root / BUILT / "sources.json"
    if not file.is_file():
        return "The JupyterLab extension is not built. Build it with: make labextension (needs npm)."
    built: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    present = {path.relative_to(root).as_posix() for path in _sources(root / "labextension")}
    changed = [name for name in sorted(present | set(built)) if _digest(root / name) != built.get(name)]
    if changed:
        return f"{changed[0]} changed since the JupyterLab extension was built. Build it with: make labextension."
    return ""


def _sources(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.relative_to(folder).parts[0] not in _ASIDE]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
