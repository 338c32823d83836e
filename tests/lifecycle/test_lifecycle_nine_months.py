"""Nine months of real flights by a simulated clock: watched, retrained, released by steps, a bad version rolled back.

The clock is the workspace's; the gateway, its log, the registry and the notebooks are real. Jobs are claimed by the
scheduler's own rules at the simulated moment, and run in this process as their command lines say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlprod_nb import Workspace, commands, scheduler
from mlprod_nb.lifecycle.alerting.alerts import AlertRow
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.targets import local
from tests.lifecycle.releasing.releases import serving, wait_for_shadows
from tests.monitoring.flights import CATEGORIES, NUMBERS, all_flights
from tests.workspaces import new_workspace

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

COLUMNS = CATEGORIES + NUMBERS
A_DAY = 100
STEP = timedelta(days=3)
FIRST, LAST = datetime(2013, 4, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC)
#: Between these an alarm trains a challenger; before and after, people are told.
AUTOMATIC, BY_HAND = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 10, 1, tzinfo=UTC)
PLANTED = datetime(2013, 10, 7, tzinfo=UTC)
SETTINGS = """
name = "year"

[endpoints.flights.monitor]
on_drift = "{on_drift}"

[retraining]
window = "28d"

[models.flights]
on_register = "release"

[models.flights.release]
steps = [10, 50, 100]
hold = "1d"
longest = "60d"
min_predictions = 50
min_labels = 50
metrics = {{ brier = 0.05, accuracy = 0.05 }}
"""


@dataclass
class Year:
    """A workspace whose clock goes through 2013.

    Attributes:
        root: Its directory.
        flights: Every flight with its moment.
        now: The simulated moment.
        ran: What the scheduler ran: when, which line, with which exit code.
        served: What served after each step of the clock.
    """

    root: Path
    flights: pd.DataFrame
    now: datetime
    ran: list[tuple[datetime, str, int]] = field(default_factory=list)
    served: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root, clock=lambda: self.now)

    def open(self, start: str | None = None, *, caller: Caller) -> Workspace:
        """Open the workspace as a job does."""
        return Workspace(self.root, caller=replace(caller, actor="scheduler", job=True), clock=lambda: self.now)

    def set(self, on_drift: str) -> None:
        (self.root / "mlprod.toml").write_text(SETTINGS.format(on_drift=on_drift))

    def play(self) -> None:
        """Let the year pass."""
        while self.now < LAST:
            before = self.now
            following = (before.replace(day=1) + timedelta(days=32)).replace(day=1)
            self.land(before, min(before + STEP, following, LAST))
            if before < AUTOMATIC <= self.now:
                self.set("retrain")
            if before < BY_HAND <= self.now:
                self.set("alert")
            if before < PLANTED <= self.now:
                self.plant()

    def land(self, since: datetime, until: datetime) -> None:
        """Let flights be asked about and land; then let the scheduler run what is due."""
        rows = self.flights[(self.flights["moment"] >= since) & (self.flights["moment"] < until)]
        count = min(A_DAY * (until - since).days, len(rows))
        rows = rows.sample(count, random_state=since.timetuple().tm_yday).sort_values("moment")
        asked = self.workspace.predict(
            "flights", data=rows[COLUMNS], units=rows["tailnum"].tolist(), event_time=rows["moment"].tolist()
        )
        self.workspace.feedback("flights", ids=asked.prediction_ids, values=rows["late"].tolist())
        wait_for_shadows(self.workspace, "flights")
        self.now = until + timedelta(minutes=1)
        self.tick()
        self.now = until
        self.served.append((until, serving(self.workspace, "flights")))

    def tick(self) -> None:
        """Claim what is due now, and run it."""
        store = self.workspace.context.store
        with store.write() as connection:
            due = scheduler.claim_due(connection, self.now)
        for slot in due:
            done = commands.run(commands.split(slot.command), commands.Door(command=slot.command, facade=self))
            with store.write() as connection:
                scheduler.finish(connection, slot.id, done.exit_code, now=self.now)
            self.ran.append((self.now, slot.command, done.exit_code))

    def plant(self) -> None:
        """Register a version that says the opposite of what is true, as a mistaken pipeline would."""
        rows = self.flights[self.flights["month"] == 9].sample(3_000, random_state=1)
        fitted = model(rows, 1 - rows["late"])
        self.workspace.register("flights", model=fitted, data=rows[COLUMNS], target=rows["late"], note="planted")


def model(rows: pd.DataFrame, target: Any) -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES), (StandardScaler(), NUMBERS)
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows[COLUMNS], target)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    root = tmp_path_factory.mktemp("year")
    flights = all_flights()
    at = pd.to_datetime(flights[["year", "month", "day"]]) + pd.to_timedelta(flights["hour"], unit="h")
    flights["moment"] = at.dt.tz_localize(UTC)
    new_workspace(root)
    played = Year(root, flights, FIRST)
    played.set("alert")
    winter = flights[flights["month"] <= 3]
    fitted = winter.sample(15_000, random_state=0)
    held = winter.drop(fitted.index).sample(5_000, random_state=0)
    workspace = played.workspace
    frozen = model(fitted, fitted["late"])
    workspace.register(
        "flights", model=frozen, data=held[COLUMNS], target=held["late"], alias="champion", note="winter"
    )
    local.start(root)  # without the scheduler's process, whose clock is not ours
    try:
        workspace.deploy("flights@champion", reason="the first version")
        workspace.route("flights", "champion=100", unit="tailnum", reason="one aircraft, one version")
        workspace.schedule_add("0 0 1 * *", "monitor flights --since 30d")
        workspace.schedule_add("1 0 1 1,7 *", "report flights drift --since 30d")
        played.play()
        yield played
    finally:
        workspace.down(yes=True)
        workspace.context.store.close()


def states(year: Year, since: datetime, until: datetime) -> list[str]:
    """Return what served, each state once, in order."""
    return [state for state, _ in groupby(state for at, state in year.served if since <= at <= until)]


def test_every_scheduled_look_and_report_ran_once(year: Year) -> None:
    ran = [(f"{at:%m-%d}", line.split()[0]) for at, line, _ in year.ran if not line.startswith("release")]
    assert ran == [
        ("05-01", "monitor"), ("06-01", "monitor"), ("07-01", "monitor"), ("07-01", "report"), ("08-01", "monitor"),
        ("09-01", "monitor"), ("10-01", "monitor"), ("11-01", "monitor"), ("12-01", "monitor"),
    ]  # fmt: skip
    kinds = [report.kind for report in year.workspace.status().reports]
    assert sorted(kinds) == ["drift", "gates", "gates", "gates"]


def test_people_are_told_of_the_storms_of_april_and_nothing_moves(year: Year) -> None:
    alarm = year.workspace.alerts_list("flights", every=True).alerts[-1]
    assert alarm.raised_at.month == 5
    assert "accuracy fell" in alarm.sentence
    assert states(year, FIRST, datetime(2013, 7, 1, tzinfo=UTC)) == ["champion flights/1 100 %"]


def alarm_of(year: Year, month: int) -> AlertRow:
    found = [row for row in year.workspace.alerts_list("flights", every=True).alerts if row.raised_at.month == month]
    assert len(found) == 1
    return found[0]


def test_the_storms_of_june_train_a_challenger_on_june(year: Year) -> None:
    alarm = alarm_of(year, 7)
    for found in ("accuracy fell from 0.778", "the label moved ('0' 77.6 %", "2 of 6 columns drifted: dest"):
        assert found in alarm.sentence
    [report] = [report for report in year.workspace.status().reports if report.kind == "drift"]
    assert (report.status, report.sentence, report.created_at) == ("alarm", alarm.sentence, alarm.raised_at)
    assert "retrain done: Registered flights/2 as @challenger" in alarm.note
    [version] = [v for v in year.workspace.models("flights").versions if v.version == "flights/2"]
    assert version.note.startswith(f"alert {alarm.alert}: retrain, since ")


def test_the_challenger_is_gated_shadowed_canaried_and_promoted(year: Year) -> None:
    gates = {row.sentence: row for row in year.workspace.status().reports if row.kind == "gates"}
    gated = gates["flights/2 passes all 11 gates. 8 skipped."]
    shadow = next(move for move in year.workspace.history("flights", limit=100).moves if move.what == "revision 3")
    assert gated.status == "ok"
    assert shadow.reason == "release 1, step 2 of 6 (shadow): every gate passes"
    assert alarm_of(year, 7).raised_at < gated.created_at <= shadow.at
    assert states(year, datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 15, tzinfo=UTC)) == [
        "champion flights/1 100 %",
        "champion flights/1 100 %, v2 flights/2 shadow",
        "champion flights/1 90 %, v2 flights/2 10 %",
        "champion flights/1 50 %, v2 flights/2 50 %",
        "v2 flights/2 100 %, champion flights/1 shadow",
        "champion flights/2 100 %",
    ]


def test_what_learnt_from_storms_is_wrong_in_a_calm_month_and_is_replaced_in_the_same_way(year: Year) -> None:
    assert "retrain done: Registered flights/3 as @challenger" in alarm_of(year, 9).note
    assert states(year, AUTOMATIC, PLANTED)[-1] == "champion flights/3 100 %"
    moves = [move for move in year.workspace.history("flights", limit=100).moves if move.what == "flights@champion"]
    registered = ("flights/1", Caller.current().actor)
    by_itself = [("flights/3", "scheduler"), ("flights/2", "scheduler")]
    assert [(move.after, move.actor) for move in moves] == [*by_itself, registered]


def test_the_planted_version_is_rolled_back_by_itself_without_an_answer_of_its_own(year: Year) -> None:
    assert states(year, PLANTED, LAST) == [
        "champion flights/3 100 %",
        "champion flights/3 100 %, v4 flights/4 shadow",
        "champion flights/3 100 %",
    ]
    found = year.workspace.release_show("flights")
    assert (found.version, found.state) == ("flights/4", "rolled back")
    assert "brier is" in found.verdict.sentence
    assert "release: flights/4" in [alert.causes for alert in year.workspace.alerts_list("flights").alerts]
    assert year.workspace.logs("flights", where="version = 4").rows == ()


def test_the_journal_explains_every_move(year: Year) -> None:
    moves = [m for m in year.workspace.history("flights", limit=100).moves if m.what.startswith("revision")]
    moves.sort(key=lambda move: int(move.what.split()[1]))
    released = ("shadow", "10 %", "50 %", "100 %", "promote")
    assert [move.reason.partition(": ")[0] for move in moves] == [
        "the first version",
        "one aircraft, one version",
        *(f"release 1, step {at} of 6 ({step})" for at, step in enumerate(released, start=2)),
        *(f"release 2, step {at} of 6 ({step})" for at, step in enumerate(released, start=2)),
        "release 3, step 2 of 6 (shadow)",
        "release 3 of flights/4 is rolled back",
    ]
    assert all(move.outcome == "active" for move in moves)
    evidence = [move.reason.partition(": ")[2] for move in moves[2:]]
    steps, harm = evidence[:-1], evidence[-1]
    assert all(found == "every gate passes" or "predictions and no harm (" in found for found in steps)
    assert re.fullmatch(r"brier is 0\.\d+ against 0\.\d+ \(difference \+0\.\d+, interval .*, 0\.05 is allowed\)", harm)
    aliases = [m for m in year.workspace.history("flights", limit=100).moves if m.what == "flights@challenger"]
    assert [move.reason.partition(" since ")[0] for move in aliases] == ["alert 3: retrain,", "alert 2: retrain,"]
    assert year.workspace.audit_verify().exit_code == 0
    assert year.workspace.verify().exit_code == 0


def test_what_was_scheduled_for_releases_is_gone_with_them(year: Year) -> None:
    left = [job.command for job in year.workspace.schedule_list().jobs]
    assert left == ["release watch", "monitor flights --since 30d", "report flights drift --since 30d"]
