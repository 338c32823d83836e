"""Two versions side by side: what changed in code, data, parameters, packages and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle import comparing
from mlprod_nb.lifecycle.comparing import Difference, VersionsDiff
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.lifecycle.panels.registry import RegistryView
from mlprod_nb.monitoring.profile import ColumnProfile
from mlprod_nb.registry.lineage import ExecutedCell, NotebookContext
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two versions of one notebook's cells, on other data, beside the two that no notebook registered."""
    site = make_site(tmp_path_factory.mktemp("site"))
    inside = str(site.workspace.root / "notebooks" / "train.ipynb")
    for power, factor, path in ((0.5, 1.0, inside), (0.1, 2.0, "/elsewhere/train.ipynb")):
        cells = (ExecutedCell(1, "import pandas"), ExecutedCell(2, f"C = {power}\nfit(C)"))
        caller = Caller("ada", notebook=NotebookContext(path, cells))
        data = site.data.assign(distance=site.data["distance"] * factor)
        model = site.model.set_params(logisticregression__C=power).fit(data, site.target)
        Workspace.open(site.workspace.root, caller=caller).register(
            "flights", model=model, data=data, target=site.target
        )
    yield site
    site.workspace.context.store.close()


def compared(site: Site, before: str, after: str) -> VersionsDiff:
    found = site.workspace.diff(before, after)
    assert isinstance(found, VersionsDiff)
    return found


def test_everything_that_changed_is_told(site: Site) -> None:
    found = compared(site, "flights/3", "flights/4")
    assert found.headline() == "From flights/3 to flights/4: 2 lines of code differ."
    assert [line for line in found.code if line[0] in "+-"][2:] == ["-C = 0.5", "+C = 0.1"]
    assert Difference("parameters", "logisticregression__C", "0.5", "0.1") in found.differences
    assert {"fingerprint"} <= {d.what for d in found.differences if d.part == "data"}
    assert not [d for d in found.differences if d.part == "packages"]
    (distance,) = [column for column in found.columns if column.column == "distance"]
    mean, sd = site.data["distance"].mean(), site.data["distance"].std()
    assert distance.size == pytest.approx(mean / sd)
    assert "hour" not in {column.column for column in found.columns}
    assert "-C = 0.5" in str(found)
    assert len(found.to_frame()) == len(found.differences)


def test_a_notebook_is_named_from_the_workspace_in_which_it_lies(site: Site) -> None:
    named = Difference("code", "notebook", "notebooks/train.ipynb", "/elsewhere/train.ipynb")
    assert named in compared(site, "flights/3", "flights/4").differences
    view = site.workspace.panel("registry")
    assert isinstance(view, RegistryView)
    told = {card.version: card.lineage.get("notebook") for card in view.versions}
    assert (told["flights/3"], told["flights/4"]) == ("notebooks/train.ipynb", "/elsewhere/train.ipynb")


def test_a_version_equals_itself(site: Site) -> None:
    found = compared(site, "flights/3", "flights/3")
    assert found.said == ("code, data, parameters, packages and metrics are equal.",)
    assert (found.differences, found.columns, found.code) == ((), (), ())


def test_code_that_nobody_kept_is_said_not_to_be_compared(site: Site) -> None:
    found = compared(site, "flights@champion", "flights/3")
    assert found.said[0] == "the code is not compared: of one of them no notebook is kept."


def test_a_report_and_a_version_are_not_compared(site: Site) -> None:
    with pytest.raises(UsageError, match=r"'3fa9c1d2' is a report's digest and 'flights/3' names a version\. Give two"):
        site.workspace.diff("flights/3", "3fa9c1d2")
    with pytest.raises(NotFound, match="report"):
        site.workspace.diff("3fa9c1d2", "9b07e4aa")
    with pytest.raises(NotFound, match="Did you mean 'flights'"):
        site.workspace.diff("flihgts/3", "flights/4")


def test_packages_and_python_that_differ_are_named(site: Site) -> None:
    read = comparing._read(site.workspace.context, "flights/3")
    other = replace(read, lineage=replace(read.lineage, python="3.99", packages={**read.lineage.packages, "new": "1"}))
    found = comparing.versions(read, other)
    assert [(d.what, d.after) for d in found.differences] == [("Python", "3.99"), ("new", "1")]
    assert found.said == ("2 packages differ.",)
    older = replace(read, lineage=replace(read.lineage, python="3.99"))
    assert comparing.versions(read, older).said == ("1 package differs.",)


def test_the_score_the_prediction_and_the_label_are_no_columns_of_the_data(site: Site) -> None:
    found = compared(site, "flights/3", "flights/4")
    assert {column.column for column in found.columns} > {"__score__"}
    own = sum(not column.column.startswith("__") for column in found.columns)
    assert f", {own} column{'' if own == 1 else 's'} in distribution." in str(found)
    assert "__score__" not in str(found)
    assert "the score" in str(found)


def test_two_models_of_the_same_data_differ_in_their_scores_and_not_in_the_data(site: Site) -> None:
    found = compared(site, "flights/1", "flights/2")
    assert {column.column for column in found.columns} & {"__score__", "__prediction__"}
    assert not [sentence for sentence in found.said if sentence.startswith("the data differ")]
    assert "on the same data." in " ".join(found.said)
    sentences = [row[0] for row in found.sections()[0].rows]
    assert all(sentence[0] == sentence[0].upper() for sentence in sentences), sentences


def test_a_diff_is_bounded_and_says_how_long_it_is(site: Site) -> None:
    read = comparing._read(site.workspace.context, "flights/3")
    found = comparing.versions(read, replace(read, cells=("x = 1\n" * 5000,)))
    assert len(found.code) == comparing.LINES
    assert found.code_lines > 5000


def test_shares_that_moved_are_exact_for_known_counts() -> None:
    one = ColumnProfile("carrier", "category", 10, 0, (6, 4, 0), categories=("AA", "UA"))
    other = ColumnProfile("carrier", "category", 10, 0, (5, 3, 2), categories=("AA", "DL"))
    assert comparing._shares(one, other) == pytest.approx((0.1 + 0.4 + 0.3 + 0.2) / 2)
    assert comparing._shares(one, replace(other, counts=(0, 0, 0))) is None


def test_the_distance_of_means_agrees_with_the_rows() -> None:
    random = np.random.default_rng(3)
    rows = pd.DataFrame({"a": random.normal(0, 2, 500), "b": random.normal(1, 2, 500)})
    one, other = (
        ColumnProfile("x", "number", 500, 0, (500,), mean=float(rows[n].mean()), sd=float(rows[n].std())) for n in "ab"
    )
    assert comparing._means(one, other) == pytest.approx((rows["b"].mean() - rows["a"].mean()) / rows["a"].std())
    assert comparing._means(replace(one, sd=0.0), other) is None
