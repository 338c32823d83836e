"""The registry panel: versions to be compared, checked, deployed and promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.registry import RegistryView


class RegistryPanel(panel.Panel):
    """The versions of a workspace's models."""

    _esm = panel.module("registry")
    _css = panel.style("registry")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of a ``RegistryView``."""
        return view(result)


def show(registry: RegistryView, shell: InteractiveShell) -> None:
    """Show the registered versions as a panel, or as a page where no panel can be."""
    snapshot.show(registry, shell, lambda: RegistryPanel(registry))


def view(registry: RegistryView) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain = registry.to_dict()
    for row in plain["versions"]:
        row["actions"] = _actions(row["version"], plain["endpoints"])
    return {**plain, "refresh": "%mlprod panel registry"}


def _actions(version: str, endpoints: list[str]) -> list[dict[str, Any]]:
    model = version.partition("/")[0]
    deploy = panel.action("Deploy", f"deploy {version}", about=version, dry=True, reason="optional")
    promote = panel.action("Promote", f"promote {version}", about=version, dry=True, reason="optional")
    return [
        panel.action("Check", f"check {version}", about=version),
        deploy,
        *([promote] if model in endpoints else []),
    ]
