"""What an execution registers while a version is reproduced: candidates in a folder, and no version.

A candidate is there whole or not at all. Whatever else the notebook would change is left out.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb.results import Result

if TYPE_CHECKING:
    from mlprod_nb.registry.bundles import Bundle
    from mlprod_nb.registry.lineage import Lineage
    from mlprod_nb.registry.versions import Candidate

_BUNDLE, _LINEAGE, _FACTS = "bundle", "lineage.json", "facts.json"


@dataclass(frozen=True)
class LeftOut(Result):
    """A verb was left out, since it changes something.

    Attributes:
        verb: The verb.
    """

    verb: str

    def headline(self) -> str:
        """Say why."""
        return f"Left out: {self.verb} changes something, and a reproduction changes nothing."

    def sections(self) -> tuple[()]:
        """Show nothing besides."""
        return ()


@dataclass(frozen=True)
class Replica:
    """What an execution registered.

    Attributes:
        model: The model's name.
        bundle: Its bundle.
        lineage: Where it comes from.
        metrics: Its performance on the reference data.
    """

    model: str
    bundle: Bundle
    lineage: Lineage
    metrics: dict[str, float]


def keep(candidate: Candidate, folder: Path) -> str:
    """Write a candidate into a folder, after those that are there; return how it is called."""
    scratch = folder / f".{uuid.uuid4().hex}"
    shutil.copytree(candidate.bundle.path, scratch / _BUNDLE)
    (scratch / _LINEAGE).write_bytes(candidate.lineage.to_json())
    facts = {"model": candidate.name, "metrics": candidate.metrics}
    (scratch / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    scratch.rename(folder / f"{len(_folders(folder)):06}")
    return f"{candidate.name}/reproduced"


def read(folder: Path) -> tuple[Replica, ...]:
    """Return what an execution registered, in order.

    Raises:
        Corrupt: A bundle was changed meanwhile.
    """
    return tuple(_replica(found) for found in _folders(folder))


def _folders(folder: Path) -> list[Path]:
    return sorted(found for found in folder.iterdir() if not found.name.startswith("."))


def _replica(folder: Path) -> Replica:
    from mlprod_nb.registry.bundles import read_bundle
    from mlprod_nb.registry.lineage import Lineage

    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    lineage = Lineage.from_json((folder / _LINEAGE).read_bytes())
    return Replica(facts["model"], read_bundle(folder / _BUNDLE), lineage, facts["metrics"])
