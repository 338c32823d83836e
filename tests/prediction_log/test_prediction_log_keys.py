"""Encryption at rest: with a key everything is read as ever, and without it nothing is."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow.parquet.encryption import create_decryption_properties

from mlprod_nb.errors import Corrupt, Refused, UsageError
from mlprod_nb.prediction_log import framing
from mlprod_nb.prediction_log.arrow_ipc import END_OF_STREAM
from mlprod_nb.prediction_log.erasing import Eraser, Sought
from mlprod_nb.prediction_log.framing import Record
from mlprod_nb.prediction_log.keys import NO_KEYS, KeyMissing, LogKeys
from mlprod_nb.prediction_log.schema import encode_predictions
from tests.prediction_log.batches import START, predictions
from tests.prediction_log.compacting import Site, open_site

FIRST, SECOND = "01" * 32, "02" * 32
TOLD = (b"N14228", b"secret-carrier", b"secret-label", b"champion")
"""What the rows hold."""


@pytest.fixture
def plain(tmp_path: Path) -> Site:
    return open_site(tmp_path)


@pytest.fixture
def site(plain: Site) -> Site:
    """A log that is encrypted from the beginning."""
    return replace(plain, keys=LogKeys(given=[FIRST], encrypt=True))


def fill(site: Site, *ids: str) -> None:
    site.add(*ids, inputs={"distance": [1.0] * len(ids), "carrier": ["secret-carrier"] * len(ids)})
    site.label(*ids, text="secret-label", number=None)


def told(site: Site) -> list[bytes]:
    """Return what of the rows can be read in the log's files as they lie on the disk."""
    content = b"".join(path.read_bytes() for path in site.folder.rglob("*") if path.is_file())
    return [text for text in TOLD if text in content]


def carriers(site: Site) -> list[str]:
    rows = site.log.labelled(site.log.pin("flights"))
    assert set(rows["label"].to_pylist()) <= {"secret-label"}
    return [row["carrier"] for row in rows["inputs"].to_pylist()]


def test_what_is_written_can_be_read_with_its_key_alone(plain: Site, site: Site) -> None:
    fill(site, "a", "b")
    assert told(site) == []
    assert carriers(site) == ["secret-carrier"] * 2
    assert site.compact().rows == 4
    fill(site, "c")
    assert told(site) == []
    assert carriers(site) == ["secret-carrier"] * 3
    found = site.log.find("a")
    assert found is not None
    assert found.feedback[0]["text"] == "secret-label"
    assert site.log.verify() == []
    with pytest.raises(KeyMissing, match=r"is encrypted with key .* which is not there"):
        carriers(plain)


def test_small_files_are_merged_into_an_encrypted_one(site: Site) -> None:
    for name in "abcd":
        fill(site, name)
        site.compact(least_files=4)
    assert len(site.files()) == 2
    assert told(site) == []
    assert len(carriers(site)) == 4
    assert site.log.verify() == []


def test_the_same_rows_are_chosen_counted_and_drawn_whether_they_are_encrypted_or_not(
    tmp_path: Path, site: Site
) -> None:
    clear = open_site(tmp_path / "clear")
    seen = []
    for one in (clear, site):
        fill(one, *"abcdef")
        one.label("a", kind="interaction", name="clicked")
        one.compact()
        fill(one, *"gh")
        pinned = one.log.pin("flights")
        drawn = one.log.sample(pinned, 3, only=["score"])["score"].to_pylist()
        asked = one.log.query("flights", where="carrier = 'secret-carrier' and score > 0.5")[
            "prediction_id"
        ].to_pylist()
        counted = one.log.tally(pinned, "rows", lambda tables, _: str(sum(map(len, tables))).encode(), only=["score"])
        outcomes = one.log.outcomes(pinned, only=["score", "variant"]).num_rows
        clicked = one.log.reactions(pinned)["prediction_id"].to_pylist()
        seen.append((pinned.rows, drawn, asked, counted, outcomes, clicked))
    assert seen[0] == seen[1]


def test_a_log_that_was_in_clear_goes_on_encrypted_and_the_other_way_round(plain: Site, site: Site) -> None:
    fill(plain, "a")
    plain.compact()
    fill(plain, "b")
    fill(site, "c")
    site.compact()
    fill(site, "d")
    reader = replace(site, keys=LogKeys(given=[FIRST]))
    fill(reader, "e")
    assert reader.compact().problems == ()
    assert len(carriers(site)) == len(carriers(reader)) == 5
    assert [".key-" in name for name in sorted(reader.files())].count(True) == 2


def test_a_new_key_writes_and_the_old_one_still_reads(site: Site) -> None:
    fill(site, "a")
    site.compact()
    fill(site, "b")
    turned = replace(site, keys=LogKeys(given=[SECOND, FIRST], encrypt=True))
    fill(turned, "c")
    turned.compact()
    assert len(carriers(turned)) == 3
    assert len({name.partition(".key-")[2] for name in turned.files()}) == 2
    with pytest.raises(KeyMissing):
        carriers(replace(site, keys=LogKeys(given=[SECOND], encrypt=True)))


def test_without_its_key_a_segment_is_left_and_verify_says_which_key_is_missing(plain: Site, site: Site) -> None:
    fill(site, "a")
    site.compact()
    fill(site, "b")
    done = plain.compact()
    assert (done.segments, len(done.problems)) == (0, 2)
    assert "it was left: " in done.problems[0]
    lines = plain.log.verify()
    assert len(lines) == 4
    assert all(f"is encrypted with key {site.keys.writing}, which is not there" in line for line in lines)
    assert all("MLPROD_LOG__KEYS" in line for line in lines)
    assert site.compact().segments == 2
    assert carriers(site) == ["secret-carrier"] * 2


def test_a_person_is_erased_from_an_encrypted_log_and_the_rest_stays_encrypted(site: Site) -> None:
    site.add("a", "b", unit=["ada", "bob"])
    site.label("a", "b", text="secret-label", number=None)
    site.compact()
    eraser = Eraser(site.folder, site.catalogue, keys=site.keys)
    done = eraser.erase(Sought("flights", unit="ada"), now=START, also=lambda connection, told: None)
    assert (done.predictions, done.feedback) == (1, 1)
    assert site.ids() == ["b"]
    assert told(site) == []
    assert site.log.verify() == []


def test_a_record_that_was_put_into_another_place_is_not_read(site: Site) -> None:
    path = site.add("a")
    (found,) = framing.scan(memoryview(path.read_bytes()))
    assert isinstance(found, Record)
    assert found.context is not None
    other = found.context.replace(b"flights", b"delays!")
    path.write_bytes(framing.MAGIC + framing.enclose(other, bytes(found.payload), END_OF_STREAM))
    with pytest.raises(Corrupt, match=r"was altered before byte \d+: a record is not what was sealed"):
        site.log.predictions(replace(site.log.pin("nobody"), endpoint="delays!", segments=((path.name, found.end),)))
    assert any("was altered" in line for line in site.log.verify())


def test_no_two_records_are_sealed_alike() -> None:
    keys = LogKeys(given=[FIRST], encrypt=True)
    one, other = keys.sealer(), keys.sealer()
    assert one is not None
    assert other is not None
    record = encode_predictions(predictions(["a"]))
    sealed = [framing.sealed(record, sealer) for sealer in (one, one, other)]
    assert len({content[60:] for content in sealed}) == 3


def test_other_tools_read_the_parquet_with_the_key(site: Site) -> None:
    fill(site, "a")
    site.compact()
    path = next(path for path in site.folder.rglob("*.parquet") if "predictions" in path.parts)
    table = pq.read_table(
        path, decryption_properties=create_decryption_properties(bytes.fromhex(FIRST)), partitioning=None
    )
    assert table["input_carrier"].to_pylist() == ["secret-carrier"]
    with pytest.raises(OSError, match="encrypted"):
        pq.read_table(path, partitioning=None)


def test_a_key_is_made_once_by_whoever_needs_it_first_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "log.keys"
    assert LogKeys(file).sealer() is None
    assert not file.exists()
    with ThreadPoolExecutor(8) as threads:
        found = {*threads.map(lambda _: LogKeys(file, encrypt=True).writing, range(8))}
    assert len(found) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert LogKeys(file, encrypt=True).writing in found


@pytest.mark.parametrize("compacted", [False, True])
def test_no_new_key_takes_the_place_of_one_that_is_lost(tmp_path: Path, site: Site, compacted: bool) -> None:
    file = tmp_path / "secrets" / "log.keys"
    fill(site, "a")
    if compacted:
        site.compact()
    with pytest.raises(KeyMissing, match=f"is encrypted with key {site.keys.writing}, which is not there"):
        LogKeys(file, encrypt=True, log=site.folder).sealer()
    assert not file.exists()
    assert LogKeys(file, encrypt=True, log=tmp_path / "another").sealer() is not None


def test_keys_that_are_given_come_before_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "log.keys"
    file.write_text(f"{FIRST}\n\n")
    file.chmod(0o600)
    assert LogKeys(file, [SECOND], encrypt=True).writing == LogKeys(given=[SECOND], encrypt=True).writing
    assert LogKeys(file, encrypt=True).writing == LogKeys(given=[FIRST], encrypt=True).writing


def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "log.keys"
    with pytest.raises(UsageError, match="64 hexadecimal digits") as refused:
        LogKeys(given=["hunter2"], encrypt=True).sealer()
    assert "hunter2" not in str(refused.value)
    file.write_text("")
    file.chmod(0o600)
    with pytest.raises(UsageError, match="holds no key"):
        LogKeys(file, encrypt=True).sealer()
    file.chmod(0o644)
    with pytest.raises(Refused, match="can be read by others"):
        LogKeys(file, encrypt=True).sealer()
    assert NO_KEYS.writing == ""
