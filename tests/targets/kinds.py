"""The targets that the conformance suite holds to what every target promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def _local(root: Path) -> Iterator[str]:
    yield ""


#: By name, what makes ready for it and yields what the workspace's settings say besides; it skips where it cannot be.
KINDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"local": _local}
