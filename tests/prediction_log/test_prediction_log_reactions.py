from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.prediction_log import lake
from mlprod_nb.prediction_log.keys import NO_KEYS
from mlprod_nb.prediction_log.ranges import LogRange
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path / "site")


def plainly(site: Site, where: LogRange) -> list[dict[str, Any]]:
    """Return what `reactions` should, from what the other readers give."""
    rows = {row["prediction_id"]: row for row in site.log.predictions(where).to_pylist()}
    found = [
        {name: value for name, value in row.items() if name not in ("endpoint", "event_time")}
        | {"event_time": about["event_time"], "variant": about["variant"], "predicted_at": about["received_at"]}
        for row in site.log.feedback(where).to_pylist()
        if row["kind"] != "label" and (about := rows.get(row["prediction_id"])) is not None
    ]
    return in_order(found)


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [row[name] for name in ("prediction_id", "kind", "name", "source")])


def react(site: Site, random: np.random.Generator, number: int) -> None:
    """Write predictions, shadows among them, and feedback of all kinds about some of them, some of it again."""
    rows = int(random.integers(1, 30))
    ids = [f"{int(random.integers(1 << 30)):08x}-{number:02d}" for _ in range(rows)]
    moments = [START + timedelta(hours=float(h)) for h in random.integers(0, 72, rows)]
    variants = random.choice(["champion", "challenger"], rows).tolist()
    site.add(*ids, shadow=(random.random(rows) < 0.2).tolist(), event_time=moments, variant=variants)
    for again in range(int(random.integers(0, 4))):
        some = random.choice(ids, rows).tolist()
        kinds = random.choice(["label", "reward", "interaction"], rows) if again else ["label"] * rows
        site.label(
            *some,
            kind=list(map(str, kinds)),
            name=random.choice(["clicked", "saved"], rows).tolist(),
            source=random.choice(["app", "site"], rows).tolist(),
            number=random.random(rows),
            at=START + timedelta(days=4, minutes=again),
        )


@pytest.mark.parametrize("seed", range(5))
def test_reactions_are_the_latest_of_each_source_beside_their_predictions(site: Site, seed: int) -> None:
    random = np.random.default_rng(seed)
    seen, pinned = 0, []
    for number in range(12):
        react(site, random, number)
        if random.random() < 0.4:
            site.compact(least_files=int(random.choice([2, 16])))
        low, high = (START + timedelta(hours=float(h)) for h in sorted(random.integers(0, 72, 2)))
        for since, until in [(None, None), (low, high)] if low < high else [(None, None)]:
            where = site.log.pin("flights", since=since, until=until)
            found = in_order(site.log.reactions(where).to_pylist())
            assert found == plainly(site, where)
            pinned.append((where, found))
            seen += len(found)
    site.compact(least_files=2)
    assert all(in_order(site.log.reactions(where).to_pylist()) == found for where, found in pinned)
    assert seen > 50


def test_a_log_without_reactions_has_the_columns_all_the_same(site: Site) -> None:
    site.add("a", "b")
    site.label("a")
    with_labels = site.log.reactions(site.log.pin("flights"))
    assert with_labels.num_rows == 0
    site.label("b", kind="interaction", name="clicked")
    assert site.log.reactions(site.log.pin("flights")).schema == with_labels.schema
    assert site.log.reactions(site.log.pin("trains")).schema == with_labels.schema


def test_what_is_said_of_a_shadow_is_said_of_what_answered(site: Site) -> None:
    site.add("a", "a", shadow=[False, True], variant=["champion", "challenger"])
    site.label("a", kind="interaction", name="clicked")
    assert site.log.reactions(site.log.pin("flights"))["variant"].to_pylist() == ["champion"]


def test_an_interaction_that_its_source_took_back_is_none(site: Site) -> None:
    site.add(*"abcd")
    site.label("a", kind="interaction", name="booked", text="true", number=1.0)
    site.label("a", kind="interaction", name="booked", text="false", number=0.0, received_at=START + timedelta(hours=2))
    site.label("b", kind="interaction", name="booked", text="false", number=0.0)
    site.label("b", kind="interaction", name="booked", text="true", number=1.0, source="another")
    site.label("c", kind="interaction", name="booked", text="by phone", number=None)
    site.label("d", kind="reward", name="saved", text="0", number=0.0)
    assert sorted(site.log.reactions(site.log.pin("flights"))["prediction_id"].to_pylist()) == list("bcd")


def test_a_file_of_labels_alone_is_passed_over_by_its_bounds(site: Site) -> None:
    site.add("a", "b")
    site.label("a", "b")
    site.compact()
    (path,) = (site.folder / "feedback").rglob("*.parquet")
    assert not lake.may_hold(path, "kind", ("interaction", "reward"), NO_KEYS)
    assert lake.may_hold(path, "kind", ("label",), NO_KEYS)
    with pytest.raises(lake.Gone):
        lake.may_hold(path.with_name("gone.parquet"), "kind", ("label",), NO_KEYS)
