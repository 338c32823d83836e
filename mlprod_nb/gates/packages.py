"""Gates on the recorded packages: known vulnerabilities and denied licences."""

from __future__ import annotations

import importlib.metadata
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mlprod_nb.errors import InvalidInput, NotFound
from mlprod_nb.gates.protocol import GateOutcome, Inspection, NotTested
from mlprod_nb.results import counted

_SHOWN = 3


@dataclass(frozen=True)
class VulnerabilityGate:
    """No recorded package has a known vulnerability, as a local database in the OSV format knows them.

    The format is https://ossf.github.io/osv-schema/: a JSON file of one entry, of a list, or of ``{"vulns": […]}``, or
    a zip of such files, as https://osv.dev gives out by ecosystem. Nothing is asked of the network.

    Attributes:
        database: The file, relative to the workspace.
        accepted: Entries that are known and accepted, by id or alias.
    """

    database: str = ""
    accepted: tuple[str, ...] = ()
    name: str = "vulnerabilities"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Look every package up."""
        packages = _recorded(inspection)
        if not self.database:
            raise NotTested("no database is named; set database in [models.NAME.gates.vulnerabilities]")
        known = {canonicalize_name(name): version for name, version in packages.items()}
        found, entries = [], 0
        for entry in entries_of(inspection.surroundings.root / self.database):
            entries += 1
            names = {str(entry.get("id", "")), *map(str, entry.get("aliases", ()))}
            if entry.get("withdrawn") or names & set(self.accepted):
                continue
            hit = next((f"{name} {known[name]}" for name in known if concerns(entry, name, known[name])), None)
            found += [f"{hit} ({entry.get('id', 'no id')})"] if hit else []
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            sentence = f"Known vulnerabilities: {', '.join(found[:_SHOWN])}{more}."
            return GateOutcome(self.name, "alarm", sentence, float(len(found)), 0.0)
        return GateOutcome(
            self.name, "ok", f"Of {entries:,} known, none concerns one of {counted(len(known), 'package')}.", 0.0, 0.0
        )


@dataclass(frozen=True)
class LicenceGate:
    """No recorded package has a licence that is denied.

    A licence is read where the package is installed, in its own metadata; a package that is not says nothing.

    Attributes:
        denied: Words of licences, as ``AGPL`` or ``Business Source``; found in any case.
        accepted: Packages that are known and accepted.
    """

    denied: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    name: str = "licences"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Read every package's licence."""
        packages = _recorded(inspection)
        if not self.denied:
            raise NotTested("no licences are denied; set denied in [models.NAME.gates.licences]")
        accepted = {canonicalize_name(name) for name in self.accepted}
        found, silent = [], []
        for name in sorted(packages, key=str.lower):
            licence = licence_of(name)
            if not licence:
                silent.append(name)
            if any(word.lower() in licence.lower() for word in self.denied) and canonicalize_name(name) not in accepted:
                found.append(f"{name} ({licence[:60]})")
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            return GateOutcome(self.name, "alarm", f"Denied licences: {', '.join(found[:_SHOWN])}{more}.")
        told = f"{counted(len(packages) - len(silent), 'package')} without a licence that is denied"
        if silent:
            return GateOutcome(self.name, "warn", f"{told}; {len(silent)} without any, as {silent[0]}.")
        return GateOutcome(self.name, "ok", f"{told}.")


def entries_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a database in the OSV format.

    Raises:
        NotFound: The file does not exist.
        InvalidInput: It is no such database.
    """
    if not path.is_file():
        raise NotFound("database of vulnerabilities", path.name)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield from _entries(json.loads(archive.read(name))) if name.endswith(".json") else ()
        else:
            yield from _entries(json.loads(path.read_bytes()))
    except (ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path.name} is no database in the OSV format: {error}.") from None


def concerns(entry: Mapping[str, Any], name: str, version: str) -> bool:
    """Return whether an entry concerns a version of a package of PyPI.

    A version is affected where it is listed, or lies in a range of the ecosystem's own order: at or after
    ``introduced``, before ``fixed``, not after ``last_affected``.
    """
    for affected in entry.get("affected", ()):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonicalize_name(str(package.get("name", ""))) != name:
            continue
        if version in affected.get("versions", ()):
            return True
        if any(
            _inside(r.get("events", ()), version) for r in affected.get("ranges", ()) if r.get("type") == "ECOSYSTEM"
        ):
            return True
    return False


def licence_of(name: str) -> str:
    """Return the licence that an installed package states; empty where it states none or is not installed."""
    try:
        about: Any = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classified = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    stated = about.get("License-Expression") or ", ".join(classified) or (about.get("License") or "").strip()
    return " ".join(str(stated).split())


def _recorded(inspection: Inspection) -> Mapping[str, str]:
    packages = inspection.surroundings.packages
    if not packages:
        raise NotTested("it is not recorded which packages the version was made with")
    return packages


def _entries(data: Any) -> Iterable[Mapping[str, Any]]:
    found = data.get("vulns", [data] if "affected" in data else None) if isinstance(data, dict) else data
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError("it holds no entries")
    return found


def _inside(events: Iterable[Mapping[str, str]], version: str) -> bool:
    wanted = _version(version)
    if wanted is None:
        return False
    inside = False
    moves = [(at, kind) for event in events for kind, text in event.items() if (at := _version(text)) is not None]
    for at, kind in sorted(moves, key=lambda move: move[0]):
        if kind == "introduced" and at <= wanted:
            inside = True
        elif (kind == "fixed" and at <= wanted) or (kind == "last_affected" and at < wanted):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
