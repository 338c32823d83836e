"""A wrong word is answered by the nearest right one, whatever it names."""

from __future__ import annotations

import io
import re

import pytest

from mlprod_nb import commands
from mlprod_nb.commands.showing import Lines
from mlprod_nb.errors import InvalidInput, NotFound, UsageError
from mlprod_nb.monitoring import MonitorResult
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TYPOS = [
    ("deplyo flights", "deploy"),
    ("deploy flights@champion --raeson x", "--reason"),
    ("models flihgts", "flights"),
    ("deploy flihgts@champion", "flights"),
    ("deploy flights@champoin", "flights@champion"),
    ("check flights/11", "flights/1"),
    ("promote flights@chalenger", "flights@challenger"),
    ("monitor fligths", "flights"),
    ("undeploy fligths --yes", "flights"),
    ("rollback fligths", "flights"),
    ("history fligths", "flights"),
    ("logs fligths", "flights"),
    ("alerts list fligths", "flights"),
    ("alerts list fligths --every", "flights"),
    ("predict fligths --data $data", "flights"),
    ("retrain fligths", "flights"),
    ("report fligths drift", "flights"),
    ("report flights drfit", "drift"),
    ("report flights drift --kernel pythno3", "python3"),
    ("report flights drift --parameters alib=false", "alibi"),
    ("route flights champoin=100", "champion"),
    ("retrain flights --mode recnet", "recent"),
    ("monitor flights --detectors wasserstien", "wasserstein"),
    ("monitor flights --alibi-with KSDrfit", "KSDrift"),
    ("monitor flights --drill distnace+0.3sd", "distance"),
    ("abtest plan flights --effect 0.1 --metric bried", "brier"),
    ("access grant somebody --role operater", "operator"),
    ("access revoke locla", "local"),
    ("register fares --model $model --data $data --target houre", "hour"),
    ("predict flights --data $dta", "$data"),
    ("schedule add '0 6 * * 1' status --timezone Europe/Berln", "Europe/Berlin"),
    ("schedule add '0 6 * * 1' 'reprot flights drift'", "report"),
    ("schedule add '0 6 * * 1' status --overlap skpi", "skip"),
    ("schedule export crn", "cron"),
    ("panel statsu", "status"),
    ("notebook trian", "train"),
    ("completion zhs", "zsh"),
    ("import no-such-archive", ""),
    ("replay 0000", ""),
    ("approve 0000", ""),
    ("schedule run 77", ""),
    ("alerts act 77", ""),
    ("background show 77", ""),
]


def serve(site: Site) -> None:
    """Let the endpoint serve, and have answered."""
    if not any(row.endpoint == "flights" for row in site.workspace.status().endpoints):
        site.workspace.deploy("flights@champion")
        site.workspace.predict("flights", data=site.data[:60])


@pytest.mark.parametrize("alias", ["my alias", "latest", "v2"])
def test_an_alias_that_will_not_do_is_refused_before_anything_is_registered(site: Site, alias: str) -> None:
    before = site.workspace.models("flights").versions
    with pytest.raises(UsageError, match="cannot name an alias"):
        site.workspace.register("flights", model=site.model, data=site.data, alias=alias)
    assert site.workspace.models("flights").versions == before


def test_feedback_of_several_columns_is_refused_by_name(site: Site) -> None:
    with pytest.raises(UsageError, match=r"--ids has \d+ columns\. Pass one of them\."):
        site.workspace.feedback("flights", ids=site.data, values=[1])
    with pytest.raises(UsageError, match=r"--ids has 1 row and --values has 2\."):
        site.workspace.feedback("flights", ids=site.data[["hour"]][:1], values=[1, 0])


def test_an_array_is_told_how_its_columns_are_called_and_what_the_endpoint_takes(site: Site) -> None:
    serve(site)
    names = ", ".join(site.data.columns)
    said = f"takes no column 'x0'. It takes: {names}. An array's columns are called x0, x1"
    with pytest.raises(InvalidInput, match=re.escape(said)):
        site.workspace.predict("flights", data=site.data.to_numpy()[:3])


@pytest.mark.parametrize(("line", "nearest"), TYPOS)
def test_a_wrong_word_is_answered_by_the_nearest_right_one(
    site: Site, monkeypatch: pytest.MonkeyPatch, line: str, nearest: str
) -> None:
    monkeypatch.chdir(site.workspace.root)
    serve(site)
    names = {"data": site.data, "model": site.model}
    steps = io.StringIO()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which class it is, is what is looked at)
        commands.run(commands.split(line), commands.Door(names=names, progress=Lines(steps)))
    error = caught.value
    assert steps.getvalue() == "", "a name is checked before work starts"
    if "job's line" not in str(error):
        assert isinstance(error, NotFound), repr(error)
    assert f"Did you mean {nearest!r}?" in str(error) if nearest else "there is no" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("verb", ["monitor flights", "report flights drift", "retrain flights"])
def test_a_wrong_moment_is_told_before_work_starts(site: Site, verb: str) -> None:
    serve(site)
    steps = io.StringIO()
    door = commands.Door(workspace=str(site.workspace.root), progress=Lines(steps))
    with pytest.raises(UsageError, match="'yesterdya' is not a moment") as caught:
        commands.run(commands.split(f"{verb} --since yesterdya"), door)
    assert "\n" not in str(caught.value)
    assert steps.getvalue() == ""


def test_times_without_a_prediction_are_answered_with_those_that_have_some(site: Site) -> None:
    serve(site)
    workspace = site.workspace
    where = r"the predictions of 'flights' are of \d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$"
    found = workspace.monitor("flights", since="2099-01-01")
    assert isinstance(found, MonitorResult)
    assert re.search("the window is empty, so nothing was tested; " + where, found.verdict.sentence)
    assert found.sections()[1].rows[0][1:3] == ("not tested", "the window is empty")
    rows = workspace.logs("flights", since="2099-01-01")
    assert re.search("^0 predictions of 'flights' in these times: " + where, str(rows))
    with pytest.raises(UsageError, match=r"--since 2099-01-01 is after the newest prediction: " + where):
        workspace.retrain("flights", since="2099-01-01", dry_run=True)
