"""Archives: whole or refused. What a stranger may have written is never trusted."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.errors import Corrupt, NotFound, Refused
from mlprod_nb.registry import archives
from tests.registry.facts import FACTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as an archive takes it."""
    made = tmp_path / "gathered"
    for name, text in {
        "model/MLmodel": "flavors: {}",
        "bundle/manifest.json": "{}",
        "bundle/model.onnx": "x" * 300,
        "history.json": '{"reports": []}',
        "lineage.json": "{}",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    archives.pack(folder, FACTS, tmp_path / "flights-3.zip")
    return tmp_path / "flights-3.zip"


def unpack(file: Path, into: Path) -> archives.Archive:
    into.mkdir()
    return archives.unpack(file, into)


def test_what_was_packed_is_unpacked(folder: Path, file: Path, tmp_path: Path) -> None:
    found = unpack(file, tmp_path / "out")
    assert found.facts == FACTS
    assert found.size == file.stat().st_size
    packed = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert packed == {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert zipfile.ZipFile(file).testzip() is None


def test_equal_contents_give_equal_bytes_and_another_file_is_not_overwritten(folder: Path, file: Path) -> None:
    before = file.read_bytes()
    archives.pack(folder, FACTS, file)
    assert file.read_bytes() == before
    with pytest.raises(Refused, match=r"is there already and is another file. Say --to FILE."):
        archives.pack(folder, replace(FACTS, note="second"), file)
    assert file.read_bytes() == before
    assert list(file.parent.glob(".*.part")) == []


def test_every_changed_byte_is_found(file: Path, tmp_path: Path) -> None:
    whole, out = file.read_bytes(), tmp_path / "out"
    out.mkdir()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
        with pytest.raises(Corrupt, match=file.name):
            archives.unpack(file, out)
    assert list(out.iterdir()) == []


def test_every_cut_and_every_addition_is_found(file: Path, tmp_path: Path) -> None:
    whole, out = file.read_bytes(), tmp_path / "out"
    out.mkdir()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(Corrupt, match=file.name):
            archives.unpack(file, out)
    file.write_bytes(whole + b"0")
    with pytest.raises(Corrupt, match=file.name):
        archives.unpack(file, out)
    assert list(out.iterdir()) == []


def test_a_file_that_is_not_there_is_answered_with_the_nearest(file: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no archive .* Did you mean .*flights-3.zip"):
        unpack(tmp_path / "flights-2.zip", tmp_path / "out")


Member = tuple[zipfile.ZipInfo, bytes]


def forged(file: Path, change: Callable[[list[Member], dict[str, Any]], None]) -> None:
    """Write an archive anew with something changed, sealed as a stranger would seal it."""
    with zipfile.ZipFile(file) as packed:
        members = [(info, packed.read(info)) for info in packed.infolist()[1:]]
        manifest = json.loads(packed.read(archives.MANIFEST))
    change(members, manifest)
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(zipfile.ZipInfo(archives.MANIFEST), json.dumps(manifest))
        for info, content in members:
            packed.writestr(info, content, compress_type=info.compress_type)
        packed.comment = b"0" * 64
    content = file.read_bytes()[:-64]
    file.write_bytes(content + hashlib.sha256(content).hexdigest().encode())


def add(name: str, content: bytes = b"x", **info: int) -> Callable[[list[Member], dict[str, Any]], None]:
    def change(members: list[Member], manifest: dict[str, Any]) -> None:
        made = zipfile.ZipInfo(name)
        for key, value in info.items():
            setattr(made, key, value)
        members.append((made, content))
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    return change


def of(**changes: Any) -> Callable[[list[Member], dict[str, Any]], None]:
    return lambda _members, manifest: manifest.update(changes)


def other_content(members: list[Member], _manifest: dict[str, Any]) -> None:
    info, content = members[0]
    members[0] = (info, b"y" * len(content))


HOSTILE = {
    "a step up": (add("../evil"), "which no archive may"),
    "a step up inside": (add("model/../../evil"), "which no archive may"),
    "an absolute path": (add("/tmp/evil"), "which no archive may"),
    "a drive": (add("model/C:evil"), "which no archive may"),
    "a backslash": (add("model/..\\evil"), "which no archive may"),
    "a control character": (add("model/\x1b[2J"), "which no archive may"),
    "a name of its own": (add("gates.py"), "which no archive may"),
    "a symbolic link": (add("model/link", b"/etc/passwd", external_attr=0o120777 << 16), "not as a plain file"),
    "a bomb": (add("model/bomb", b"0" * 1_000_000, compress_type=zipfile.ZIP_DEFLATED), "not as a plain file"),
    "a file nobody named": (lambda m, _: m.append((zipfile.ZipInfo("model/extra"), b"x")), "the files that its"),
    "a file left out": (lambda m, _: m.pop(), "the files that its"),
    "other content": (other_content, "does not match its digest"),
    "no model": (of(files={}), "the files that its"),
    "a later format": (of(format=2), "is of format 2, and format 1 is read here"),
    "no format": (of(format=None), "is of format None"),
    "no bundle": (of(bundle="x"), "its bundle is no digest"),
    "a metric that is none": (of(metrics={"auc": float("inf")}), "a metric is no number"),
    "half a letter": (of(note="\ud800"), "cannot be read"),
    "an origin that clears the screen": (of(origin=FACTS.origin.__dict__ | {"name": "\x1b[2J"}), "no plain text"),
    "an origin that is no version": (of(origin=FACTS.origin.__dict__ | {"version": "x"}), "names no version"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_a_stranger_made_and_sealed_is_refused(what: str, file: Path, tmp_path: Path) -> None:
    change, told = HOSTILE[what]
    forged(file, change)
    with pytest.raises((Corrupt, Refused)) as caught:
        unpack(file, tmp_path / "out")
    assert told in str(caught.value)
    assert not (tmp_path / "evil").exists()
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("content", [b"", b"x" * 64, b"PK\x03\x04" + b"x" * 500, b"x" * 500 + b"a" * 64])
def test_what_is_no_archive_is_named(content: bytes, file: Path, tmp_path: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(Corrupt, match=r"flights-3.zip (is no archive|does not match its seal)"):
        unpack(file, tmp_path / "out")


def test_a_seal_over_no_zip_at_all_is_an_error_of_ours(file: Path, tmp_path: Path) -> None:
    content = b"x" * 500
    file.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    with pytest.raises(Corrupt, match="cannot be read"):
        unpack(file, tmp_path / "out")


def test_an_export_that_is_killed_leaves_no_archive(folder: Path, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from mlprod_nb.registry import archives
from tests.registry.facts import FACTS
archives._put = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
archives.pack(Path(sys.argv[1]), FACTS, Path(sys.argv[2]))
"""
    target = tmp_path / "killed.zip"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(target)], check=False, timeout=120, env=dict(os.environ)
    )
    assert done.returncode == -9
    assert not target.exists()
    archives.pack(folder, FACTS, target)
    assert unpack(target, tmp_path / "out").facts == FACTS
