"""From predictions and late labels to the performance report, in a real workspace."""

from __future__ import annotations

import pandas as pd

from mlprod_nb.monitoring import MonitorResult
from tests.lifecycle.conftest import Site


def test_a_thorough_look_and_its_report_tell_where_the_model_stands(site: Site) -> None:
    workspace = site.workspace
    workspace.deploy("flights@champion")
    data = pd.concat([site.data] * 3, ignore_index=True)
    when = [moment.isoformat() for moment in pd.date_range("2013-04-01", periods=len(data), freq="1h", tz="UTC")]
    answered = workspace.predict("flights", data=data, event_time=when)
    labels = pd.concat([site.target] * 3, ignore_index=True)[:900].tolist()
    workspace.feedback("flights", ids=answered.prediction_ids[:900], values=labels)
    found = workspace.monitor("flights", since="2013-04-20", until="2013-06-01", performance=True)
    assert isinstance(found, MonitorResult)
    standing = found.standing
    assert standing.labels is not None
    assert "hardly any label has come" in standing.labels.statement
    assert standing.estimation is not None
    assert standing.estimation.trials[0].since.date().isoformat() == "2013-04-01"
    assert standing.service is not None
    assert {row.in_window for row in standing.service.rows} == {True, False}
    assert standing.notes["error rate"].startswith("0 requests refused")
    report = workspace.report("flights", "performance", since="2013-04-20", until="2013-06-01")
    assert report.verdict.status == found.verdict.status
    assert report.verdict.sentence == found.verdict.sentence
    page = report.page.read_text(encoding="utf-8")
    assert "Performance report" in page
    assert "trials of the estimate" in page
    assert page.count("<svg") >= 2


def test_a_look_and_its_report_show_what_users_did(site: Site) -> None:
    workspace = site.workspace
    workspace.deploy("flights@champion")
    data = pd.concat([site.data] * 2, ignore_index=True)
    when = [moment.isoformat() for moment in pd.date_range("2014-04-01", periods=len(data), freq="1h", tz="UTC")]
    ids = workspace.predict("flights", data=data, event_time=when).prediction_ids
    calm = workspace.monitor("flights", since="2014-04-20", performance=True)
    assert isinstance(calm, MonitorResult)
    assert calm.standing.reactions is None
    assert calm.standing.notes["interactions and rewards"] == "none came"
    workspace.feedback(
        "flights", ids=ids[::4], values=["clicked"] * len(ids[::4]), kind="interaction", name="<b>banner"
    )
    workspace.feedback("flights", ids=ids[::2], values=[2.5] * len(ids[::2]), kind="reward", name="saved")
    found = workspace.monitor("flights", since="2014-04-20", performance=True)
    assert isinstance(found, MonitorResult)
    assert found.standing.reactions is not None
    banner, saved = sorted(found.standing.reactions.rows, key=lambda row: row.kind)
    assert abs(banner.value - 0.25) < 0.01
    assert abs(saved.value - 1.25) < 0.02
    assert {stretch.in_window for stretch in banner.stretches} == {True, False}
    assert not banner.less
    assert "<b>banner" not in found._repr_html_()
    report = workspace.report("flights", "performance", since="2014-04-20")
    page = report.page.read_text(encoding="utf-8")
    assert "What users did" in page
    assert "&lt;b&gt;banner" in page
