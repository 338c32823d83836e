"""What an installed package adds is used by the real verbs, in a process that was started after it was installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlprod_nb import Workspace, extensions
from mlprod_nb.errors import UsageError
from tests.packages import install

MODULE = """
from dataclasses import dataclass

from mlprod_nb.gates import GateOutcome
from mlprod_nb.monitoring.detectors import Comparison


@dataclass(frozen=True)
class FewColumns:
    most: int = 5
    name: str = "few-columns"

    def check(self, inspection):
        count = len(inspection.bundle.signature.columns)
        return GateOutcome(self.name, "ok" if count <= self.most else "alarm", f"It takes {count} columns.", count)


class Rows:
    name = "rows"
    kinds = frozenset({"number"})
    floor = 0.0

    def compare(self, reference, window):
        return Comparison(statistic=1.0, effect=0.0, p_value=1.0)


@dataclass(frozen=True)
class Sure:
    name: str = "sure"
    better: str = "higher"
    needs_labels: bool = False
    tolerance: float = 0.0

    def value(self, outcome):
        return "abs(score - 0.5)"


sure = Sure()
"""
SCRIPT = """
import json, sys
from mlprod_nb import Workspace
workspace = Workspace.open(sys.argv[1])
found = {
    "gates": {gate.name: gate.sentence for gate in workspace.check("flights/1").gates},
    "detectors": str(workspace.monitor("flights", detectors="rows").to_dict()),
    "plan": workspace.abtest_plan("flights", effect=0.01, metric="sure").to_dict(),
}
print(json.dumps(found, default=str))
"""


def test_a_gate_a_detector_and_a_metric_of_an_installed_package_are_used_by_the_verbs(tmp_path: Path) -> None:
    packages, root = tmp_path / "packages", tmp_path / "site"
    packages.mkdir()
    install(
        packages,
        "[mlprod_nb.gates]\nfew-columns = their_checks:FewColumns\n"
        "[mlprod_nb.detectors]\nrows = their_checks:Rows\n"
        "[mlprod_nb.metrics]\nsure = their_checks:sure\n",
        MODULE,
    )
    Workspace.init(str(root))
    workspace = Workspace.open(root)
    random = np.random.default_rng(7)
    data = pd.DataFrame({"distance": random.normal(9, 3, 400), "hour": random.integers(5, 23, 400)})
    target = (data["hour"] > 14).astype(int)
    model = LogisticRegression().fit(data, target)
    workspace.register("flights", model=model, data=data, target=target, alias="champion")
    workspace.up()
    try:
        workspace.deploy("flights@champion")
        workspace.predict("flights", data=data[:200])
    finally:
        workspace.down(yes=True)
        workspace.context.store.close()
    path = os.pathsep.join((str(packages), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["gates"]["few-columns"] == "It takes 2 columns."
    assert "'rows'" in found["detectors"]
    assert found["plan"]["metric"] == "sure"


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("class Other: ...", "has no attribute 'Gate'"),
    ],
)
def test_an_extension_that_cannot_be_loaded_names_its_package(
    module: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "[mlprod_nb.gates]\nfew = their_checks:Gate\n", module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_checks", raising=False)
    with pytest.raises(UsageError) as caught:
        extensions.load("mlprod_nb.gates")
    said = str(caught.value)
    assert said.startswith(
        "'few' (their_checks:Gate), which their-checks 1.0 adds to mlprod_nb.gates, cannot be loaded"
    )
    assert told in said
    assert said.endswith("Mend or uninstall that package.")
    monkeypatch.delitem(sys.modules, "their_checks", raising=False)


def test_of_two_copies_of_a_package_the_one_that_python_would_import_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, older = tmp_path / "newer", tmp_path / "older"
    for folder, points in (
        (newer, "[mlprod_nb.own]\nnew = their_checks:Rows\n"),
        (older, "[mlprod_nb.own]\nold = their_checks:Rows\n"),
    ):
        folder.mkdir()
        install(folder, points, MODULE)
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(newer))
    assert [point.name for point in extensions.entry_points(group="mlprod_nb.own")] == ["new"]
    assert extensions.entry_points(group="mlprod_nb.ow") == []
