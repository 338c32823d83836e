"""Reproducing a version: its recorded notebook runs again, agrees or says what differs, and changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.linear_model import LogisticRegression

from mlprod_nb import Workspace, commands, notebooks
from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.settings import CANDIDATES, for_execution
from tests.notebook_files import code, write
from tests.workspaces import new_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

KEPT = "the rows of its reference data are kept with it, as data.parquet."
CELLS = (
    code('table = "data.csv"\nshare = 0.3', "parameters"),
    code("%load_ext mlprod_nb"),
    code(
        "from pathlib import Path\nimport numpy as np\nimport pandas as pd\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "rows = pd.read_csv(table)\nX, y = rows[['distance', 'hour']], rows['late']"
    ),
    code(
        "seed = None if Path('no-seed').exists() else 0\n"
        "kept = np.random.default_rng(seed).random(len(X)) < share\n"
        "clf = LogisticRegression(max_iter=500).fit(X[kept], y[kept])"
    ),
    code('%mlprod schedule add "0 6 * * 1" "monitor late"'),
    code(
        "from mlprod_nb import Workspace\n"
        "try:\n    Workspace.open().schedule_add('0 7 * * 1', 'monitor late')\nexcept Exception as error: print(error)"
    ),
    code("%mlprod register sliced --model $clf --data $X --target $y --snapshot"),
    code("%mlprod register late --model $clf --data $table --target late --alias champion --snapshot"),
    code("1 / 0"),
)


def data(seed: int = 7) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"distance": random.normal(9, 3, 400), "hour": random.integers(5, 23, 400)})
    return rows.assign(late=(rows["hour"] / 23 + random.normal(0, 0.3, 400) > 0.7).astype(int))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with late/1, which a notebook registered on a share of its rows."""
    root = tmp_path_factory.mktemp("site")
    new_workspace(root)
    data().to_csv(root / "data.csv", index=False)
    file = write(root / "train.ipynb", *CELLS[:-1])
    within = notebooks.Surroundings(variables=for_execution(root))
    notebooks.execute(file, root / "executed.ipynb", {"share": 0.4}, timeout_seconds=120, cwd=root, within=within)
    # What is run again is what was recorded, whatever became of the file.
    write(root / "train.ipynb", code("raise SystemExit"))
    return root


@pytest.fixture
def workspace(root: Path) -> Workspace:
    data().to_csv(root / "data.csv", index=False)
    (root / "no-seed").unlink(missing_ok=True)
    return Workspace.open(root)


def standing(workspace: Workspace) -> dict[str, str]:
    """Return what a workspace holds: every row of both databases, every file but executed notebooks and copies."""
    found = {}
    layout = workspace.context.layout
    for database in (layout.database, layout.mlflow_database):
        engine = sa.create_engine(f"sqlite:///{database}")
        with engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                rows = connection.exec_driver_sql(f'SELECT * FROM "{table}"').fetchall()
                found[f"{database.name} {table}"] = repr(sorted(map(repr, rows)))
        engine.dispose()
    for path in sorted(workspace.root.rglob("*")):
        if path.is_file() and ".db" not in path.name and not {"reproducing", "bundles"} & set(path.parts):
            found[str(path.relative_to(workspace.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_a_version_is_reproduced_from_what_was_recorded_and_nothing_changes(workspace: Workspace) -> None:
    before = standing(workspace)
    result = workspace.reproduce("late/1")
    assert result.exit_code == 0, str(result)
    assert result.headline().startswith(
        "✓ OK: late/1 is reproduced: predictions for 400 rows agree within 0 (tolerance"
    )
    assert (result.rows, result.label_flips, result.largest_difference, result.same_bundle) == (400, 0, 0.0, True)
    assert [metric.agrees for metric in result.metrics] == [True] * len(result.metrics)
    assert len(result.metrics) > 0
    assert result.differences == ()
    assert standing(workspace) == before
    executed = notebooks.read(workspace.root / result.notebook)
    shown = str(executed["cells"])
    assert "Left out: schedule add changes something" in shown
    assert "a reproduction changes nothing in the workspace" in shown  # what Python asks for is refused by the store
    assert list(result.to_frame()["metric"]) == [metric.metric for metric in result.metrics]


def test_a_training_without_a_seed_is_not_reproduced_and_the_reason_is_named(workspace: Workspace) -> None:
    (workspace.root / "no-seed").touch()
    result = workspace.reproduce("late/1")
    assert result.exit_code == 1
    assert "late/1 is not reproduced: " in result.headline()
    assert result.largest_difference is not None
    assert result.largest_difference > result.tolerance
    assert "give it a seed" in str(result)


def test_other_data_are_named_with_what_they_change(workspace: Workspace) -> None:
    data(seed=8)[:390].to_csv(workspace.root / "data.csv", index=False)
    result = workspace.reproduce("late/1")
    assert result.exit_code == 1
    assert "the reference data are others than recorded: 400 rows then, 390 now" in result.headline()
    assert {"fingerprint", "rows", "target"} <= {d.what for d in result.differences if d.part == "data"}
    assert result.said == ("the file of its reference data, data.csv, was changed.", KEPT)
    assert result.rows == 400  # the new model is asked about the version's own rows


def test_data_that_are_gone_are_named(workspace: Workspace) -> None:
    (workspace.root / "data.csv").unlink()
    result = workspace.reproduce("late/1")
    assert result.exit_code == 1
    assert result.said == ("the file of its reference data, data.csv, is gone.", KEPT)
    assert "what it reads in cell 4 can no longer be found: FileNotFoundError" in result.headline()
    assert (workspace.root / result.notebook).is_file()


def test_where_a_version_does_not_know_the_file_that_is_gone_it_says_that_its_rows_are_kept(
    workspace: Workspace,
) -> None:
    (workspace.root / "data.csv").unlink()
    result = workspace.reproduce("sliced/1")
    assert "what it reads in cell 4 can no longer be found" in result.headline()
    assert result.said == (KEPT,)


@pytest.mark.exhaustive
def test_it_is_reproduced_in_an_environment_made_of_the_recorded_packages(workspace: Workspace) -> None:
    result = workspace.reproduce("late/1", environment=True)
    assert result.exit_code == 0, str(result)
    assert (result.environment, result.same_bundle) == ("made of the recorded packages", True)
    assert [d for d in result.differences if d.part == "packages"] == []


def test_a_version_from_python_has_no_notebook_to_run_again(workspace: Workspace) -> None:
    rows = data()
    model = LogisticRegression().fit(rows[["distance", "hour"]], rows["late"])
    made = workspace.register("plain", model=model, data=rows[["distance", "hour"]])
    with pytest.raises(Refused, match=r"no notebook is recorded with plain/1, so .* %mlprod register"):
        workspace.reproduce(made.version)


def test_a_tolerance_that_is_none_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="--tolerance is 2"):
        workspace.reproduce("late/1", tolerance=2)


def test_a_hung_notebook_ends_at_its_limit_and_its_page_stays(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPROD_RETRAINING__TIMEOUT_SECONDS", "0.5")
    with pytest.raises(notebooks.NotebookFailed, match=r"reached the limit.*\[retraining\] timeout_seconds") as caught:
        Workspace.open(workspace.root).reproduce("late/1")
    assert caught.value.notebook.is_file()


def test_inside_of_a_reproduction_every_way_to_change_something_is_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CANDIDATES, str(tmp_path))
    inside = Workspace.open(workspace.root)
    rows = data()
    tries = (
        lambda: inside.up(),
        lambda: inside.down(yes=True),
        lambda: inside.deploy("late/1"),
        lambda: inside.predict("late", data=rows),
        lambda: inside.schedule_add("0 6 * * 1", "monitor late"),
        lambda: inside.check("late/1"),
        lambda: inside.reproduce("late/1"),
        lambda: Workspace.init(str(tmp_path / "new")),
        lambda: inside.context.registry.set_alias("late", "other", 1),
        lambda: inside.context.registry.delete_alias("late", "champion"),
    )
    before = standing(workspace)
    for attempt in tries:
        with pytest.raises(Refused, match="a reproduction changes nothing"):
            attempt()
    assert standing(workspace) == before
    assert inside.models("late").versions


def test_the_verbs_that_a_reproduction_lets_through_exist() -> None:
    assert set(commands.verbs()) >= commands.REPRODUCED
