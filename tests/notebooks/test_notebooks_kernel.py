"""A kernel that is killed takes nothing with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from mlprod_nb import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::UserWarning")


class Kernel:
    """A real kernel in a folder."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> str:
        """Run a cell and return what it shows as text, or its error."""
        shown: list[str] = []

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                shown.append("\n".join(content["traceback"]))

        self.client.execute_interactive(code, timeout=120, output_hook=note)
        return "\n".join(shown)

    def kill(self) -> None:
        """Kill the kernel at once."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernels(tmp_path: Path) -> Iterator[list[Kernel]]:
    started = [Kernel(tmp_path)]
    yield started
    for kernel in started:
        kernel.kill()
    Workspace.open(tmp_path).down(yes=True)


def test_a_killed_kernel_leaves_the_gateway_serving_and_a_new_one_finds_it(
    kernels: list[Kernel], tmp_path: Path
) -> None:
    first = kernels[0]
    first.run("%load_ext mlprod_nb")
    first.run("%mlprod init")
    url = first.run("up = %mlprod up\nprint(up.url) or up.url").strip("'")
    first.kill()
    kernels[0] = second = Kernel(tmp_path)
    second.run("%load_ext mlprod_nb")
    assert url in second.run("status = %mlprod status\nstr(status)")


def test_a_typo_is_one_line_and_nothing_else(kernels: list[Kernel]) -> None:
    kernels[0].run("%load_ext mlprod_nb")
    kernels[0].run("%mlprod init")
    shown = kernels[0].run("%mlprod deplyo flights@champion")
    assert shown == "mlprod: there is no verb 'deplyo'. Did you mean 'deploy'? See: %mlprod --help"
