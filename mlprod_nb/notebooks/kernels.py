"""Jupyter kernels by name, for notebooks that need another environment than this one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlprod_nb.errors import NotFound, Refused

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec

_ASK_SECONDS = 60.0
_ASK = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def find(name: str) -> KernelSpec:
    """Return a kernel's specification.

    Raises:
        NotFound: There is no such kernel.
        Refused: It does not speak Python.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        spec: KernelSpec = manager.get_kernel_spec(name)
    except NoSuchKernel:
        besides = "`mlprod kernel alibi` makes one with alibi-detect."
        raise NotFound("kernel", name, manager.find_kernel_specs(), besides=besides) from None
    if spec.language.lower() != "python":
        raise Refused(f"kernel {name!r} speaks {spec.language}, and a report's notebook is in Python.")
    return spec


def versions(name: str, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of some packages in a kernel's environment; packages it lacks are left out.

    Raises:
        NotFound: There is no such kernel.
        Refused: Its interpreter does not answer.
    """
    interpreter = find(name).argv[0]
    try:
        command = [interpreter, "-c", _ASK, *packages]
        asked = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=True)  # noqa: S603 (the kernel's)
        found: dict[str, str] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Refused(f"the interpreter of kernel {name!r} does not answer: {error}.") from None
    return found
