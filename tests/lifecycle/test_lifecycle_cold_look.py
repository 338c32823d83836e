"""A look from a shell loads only what it needs: most of what a small one takes are imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lifecycle.counted_site import open_counted_site

#: Not scipy.stats: of as few rows as here are, it tells the exact chances.
UNNEEDED = (
    "pydantic",
    "pandas",
    "pyarrow.dataset",
    "sklearn",
    "matplotlib",
    "duckdb",
    "mlflow",
    "onnxruntime",
    "alembic",
    "apprise",
    "mlprod_nb.lifecycle.alerting.adapting",
    "mlprod_nb.lifecycle.alerting.notifying",
)


def test_a_look_from_a_shell_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    site = open_counted_site(tmp_path / "site")
    site.deploy()
    site.compacted(1, prediction=["0"] * 10 + ["1"] * 10)
    site.site.store.close()
    code = (
        "import sys\n"
        "from mlprod_nb import cli\n"
        "code = cli.main(['monitor', 'flights'])\n"
        f"print(code in (0, 1), [name for name in {UNNEEDED!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=site.layout.root, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "True []", done.stdout + done.stderr
