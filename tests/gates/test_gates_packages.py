"""Vulnerabilities by a local database in the OSV format, and licences."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.errors import InvalidInput, NotFound
from mlprod_nb.gates import Inspection, NotTested, Surroundings, packages
from mlprod_nb.gates.packages import LicenceGate, VulnerabilityGate, concerns, entries_of
from mlprod_nb.registry.bundles import Bundle


def entry(*events: dict[str, str], name: str = "Flask", versions: tuple[str, ...] = (), **other: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, "versions": list(versions)}
    return {"id": "GHSA-1", "aliases": ["CVE-1"], "affected": [affected], **other}


SINCE, UNTIL = {"introduced": "0"}, {"fixed": "2.2.5"}


@pytest.mark.parametrize(
    ("events", "version", "affected"),
    [
        ((SINCE, UNTIL), "2.2.4", True),
        ((SINCE, UNTIL), "2.2.5", False),
        ((SINCE, UNTIL), "2.2.5rc1", True),
        ((SINCE, UNTIL), "2.10", False),
        ((UNTIL, SINCE), "1.0", True),
        ((SINCE,), "99", True),
        (({"introduced": "2.3"}, {"fixed": "2.3.2"}, SINCE, UNTIL), "2.2.9", False),
        (({"introduced": "2.3"}, {"fixed": "2.3.2"}, SINCE, UNTIL), "2.3.1", True),
        (({"introduced": "1"}, {"last_affected": "2"}), "2", True),
        (({"introduced": "1"}, {"last_affected": "2"}), "2.0.1", False),
        (({"introduced": "1"}, {"last_affected": "2"}), "0.9", False),
        ((SINCE,), "no version", False),
    ],
)
def test_ranges_are_read_in_the_order_of_versions(
    events: tuple[dict[str, str], ...], version: str, affected: bool
) -> None:
    assert concerns(entry(*events), "flask", version) is affected


def test_listed_versions_names_and_ecosystems_count() -> None:
    assert concerns(entry(versions=("1.0",), name="Zope.Interface"), "zope-interface", "1.0")
    assert not concerns(entry(versions=("1.0",)), "flask", "1.1")
    other = entry(SINCE)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert not concerns(other, "flask", "1.0")


def inspect(bundle: Bundle, root: Path, data: Any) -> Inspection:
    (root / "osv.json").write_text(json.dumps(data), encoding="utf-8")
    return Inspection(bundle, "flights/2", Surroundings(packages={"flask": "2.0", "numpy": "2.0"}, root=root))


def test_a_package_with_a_known_vulnerability_is_a_no(onnx_bundle: Bundle, tmp_path: Path) -> None:
    found = VulnerabilityGate("osv.json").check(inspect(onnx_bundle, tmp_path, [entry(SINCE, UNTIL)]))
    assert (found.status, found.sentence) == ("alarm", "Known vulnerabilities: flask 2.0 (GHSA-1).")
    inspection = inspect(onnx_bundle, tmp_path, {"vulns": [entry(SINCE, UNTIL, withdrawn="2024-01-01T00:00:00Z")]})
    assert VulnerabilityGate("osv.json").check(inspection).status == "ok"
    inspection = inspect(onnx_bundle, tmp_path, entry(SINCE, UNTIL))
    assert VulnerabilityGate("osv.json", accepted=("CVE-1",)).check(inspection).sentence == (
        "Of 1 known, none concerns one of 2 packages."
    )


def test_a_zip_of_entries_is_a_database_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("GHSA-1.json", json.dumps(entry(SINCE)))
        archive.writestr("README", "not an entry")
    assert [found["id"] for found in entries_of(tmp_path / "all.zip")] == ["GHSA-1"]


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON", '{"vulns": 3}', "3"])
def test_what_is_no_database_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "osv.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"osv\.json is no database in the OSV format"):
        list(entries_of(tmp_path / "osv.json"))
    with pytest.raises(NotFound, match=r"no database of vulnerabilities 'gone\.json'"):
        list(entries_of(tmp_path / "gone.json"))


def test_without_a_database_or_packages_the_gates_are_skipped(onnx_bundle: Bundle, tmp_path: Path) -> None:
    inspection = inspect(onnx_bundle, tmp_path, [])
    with pytest.raises(NotTested, match="no database is named"):
        VulnerabilityGate().check(inspection)
    with pytest.raises(NotTested, match="no licences are denied"):
        LicenceGate().check(inspection)
    with pytest.raises(NotTested, match="not recorded which packages"):
        LicenceGate(("GPL",)).check(Inspection(onnx_bundle))


def test_denied_licences_are_found_and_silent_packages_are_a_warning(
    onnx_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    licences = {"flask": "BSD-3-Clause", "numpy": "GNU Affero General Public License v3"}
    monkeypatch.setattr(packages, "licence_of", lambda name: licences.get(name, ""))
    inspection = inspect(onnx_bundle, tmp_path, [])
    found = LicenceGate(("affero",)).check(inspection)
    assert found.sentence == "Denied licences: numpy (GNU Affero General Public License v3)."
    assert LicenceGate(("affero",), accepted=("NumPy",)).check(inspection).status == "ok"
    more = replace(inspection.surroundings, packages={"flask": "2.0", "strange": "1.0"})
    silent = LicenceGate(("affero",)).check(Inspection(onnx_bundle, "flights/2", more))
    assert (silent.status, silent.sentence) == (
        "warn",
        "1 package without a licence that is denied; 1 without any, as strange.",
    )


def test_a_licence_is_read_from_the_installed_package() -> None:
    assert "BSD" in packages.licence_of("scikit-learn")
    assert packages.licence_of("no-such-package") == ""
