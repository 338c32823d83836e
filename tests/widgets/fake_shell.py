"""As much of a kernel's shell as showing needs."""

from __future__ import annotations

from typing import Any


class FakeShell:
    """As much of a kernel's shell as showing needs."""

    def __init__(self, cell: str = "") -> None:
        self.kernel = object()
        self.cell = cell
        self.display_pub = self
        self.published: list[dict[str, Any]] = []

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell} if self.cell else {}}

    def publish(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.published.append(data)
