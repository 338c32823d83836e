"""Archives: one version as one file, for moving it between workspaces.

An archive is a ZIP file whose members are stored, not compressed, so nothing in it can unpack to more than the file
itself holds. ``manifest.json`` comes first and names every other member with its size and SHA-256 digest. The file's
last 64 bytes, which are the ZIP's comment, are the seal: the SHA-256 digest of all bytes before them, so a byte that
was changed, lost or added is found before anything else is read. Equal contents give equal bytes.

The seal says that an archive is whole, not who made it: whoever can write one can seal it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mlprod_nb import durable
from mlprod_nb.errors import Corrupt, NotFound, Refused
from mlprod_nb.registry.bundles import canonical_json, file_digest

FORMAT = 1
MANIFEST = "manifest.json"
MODEL, BUNDLE, HELD_OUT, GATES, HISTORY = "model", "bundle", "held_out", "gates", "history.json"
FOLDERS = (MODEL, BUNDLE, HELD_OUT, GATES)
FILES = ("lineage.json", "notebook.ipynb", "data.parquet", HISTORY)
NEEDED = (f"{MODEL}/MLmodel", f"{BUNDLE}/manifest.json", HISTORY)
LARGEST_MANIFEST = 8 * 1024 * 1024
MOST_MEMBERS = 10_000
_SEAL = 64
_CHUNK = 1024 * 1024
_LONGEST_WORD, _LONGEST_TEXT = 200, 100_000
_STORED_ON = (1980, 1, 1, 0, 0, 0)
_VERSION = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}/[1-9][0-9]{0,8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Origin:
    """Which version of which workspace was exported.

    Attributes:
        workspace: The workspace's id, which no other has.
        name: The workspace's name.
        version: As ``flights/3``.
        author: Who registered it there.
        created_at: When, in UTC.
    """

    workspace: str
    name: str
    version: str
    author: str
    created_at: str

    @property
    def told(self) -> str:
        """The origin in words."""
        return f"{self.version} of {self.name}"

    def to_text(self) -> str:
        """Return the origin as the tag of a version that holds it."""
        return canonical_json(asdict(self)).decode()

    @classmethod
    def read(cls, text: str) -> Origin | None:
        """Read what :meth:`to_text` gave; ``None`` where it is something else."""
        try:
            return cls(**{name: _word(value) for name, value in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class Facts:
    """What an archive says of its version beside the files.

    Attributes:
        origin: Where it is from.
        bundle: The bundle's digest.
        note: The version's note.
        metrics: Its performance on the reference data.
        params: Its run's parameters.
    """

    origin: Origin
    bundle: str
    note: str
    metrics: dict[str, float]
    params: dict[str, str]


@dataclass(frozen=True)
class Member:
    """One file in an archive: its size in bytes and its SHA-256 digest."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """An archive that was read, every digest checked.

    Attributes:
        digest: Its seal.
        size: How many bytes it has.
        facts: What it says of its version.
        members: Its files by name.
    """

    digest: str
    size: int
    facts: Facts
    members: dict[str, Member]


def pack(folder: Path, facts: Facts, file: Path) -> Archive:
    """Write a folder's files into an archive: whole and synced to disk, or not at all.

    Raises:
        Refused: Another file is there already, or it cannot be written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    if strange := [name for name in names if not _inside(name)]:
        raise Refused(f"{strange[0]!r} cannot be in an archive.", hint="Register the model again without that file.")
    members = {name: Member((folder / name).stat().st_size, file_digest(folder / name)) for name in names}
    try:
        descriptor, scratch = tempfile.mkstemp(prefix=f".{file.name}-", suffix=".part", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w+b") as out:
                _write(out, folder, facts, members)
                digest = _seal(out)
                out.flush()
                os.fsync(out.fileno())
            _put(Path(scratch), file, digest)
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror or error}.") from None
    return Archive(digest, file.stat().st_size, facts, members)


def check_there(file: Path) -> None:
    """Check that an archive is there.

    Raises:
        NotFound: There is no such file.
    """
    if not file.is_file():
        raise NotFound("archive", str(file), _archives(file.parent))


def unpack(file: Path, folder: Path) -> Archive:
    """Check an archive, byte by byte and member by member, and write its files into an empty folder.

    Raises:
        NotFound: There is no such file.
        Corrupt: It is no archive, is cut off, was changed, or holds what no archive may.
        Refused: It is of a later format, or there is no room for it.
    """
    check_there(file)
    try:
        digest = _checked_seal(file)
        with zipfile.ZipFile(file) as packed:
            facts, members = _manifest(file, packed)
            _check_members(file, packed.infolist(), members)
            _check_room(file, folder, members)
            for name, member in members.items():
                _extract(file, packed, name, member, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _corrupt(file, f"cannot be read: {error}") from None
    except OSError as error:
        raise Refused(f"{file} cannot be unpacked: {error.strerror or error}.") from None
    return Archive(digest, file.stat().st_size, facts, members)


def _write(out: IO[bytes], folder: Path, facts: Facts, members: dict[str, Member]) -> None:
    manifest = {"format": FORMAT, **asdict(facts), "files": {name: asdict(one) for name, one in members.items()}}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(_info(MANIFEST), canonical_json(manifest))
        for name, member in members.items():
            info = _info(name)
            info.file_size = member.size  # tells zipfile in time that more than 4 GiB come
            with (folder / name).open("rb") as source, packed.open(info, "w") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        packed.comment = b"0" * _SEAL


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _STORED_ON)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def _seal(out: IO[bytes]) -> str:
    """Write the digest of all that is before it into the place that the comment holds."""
    end = out.seek(0, os.SEEK_END) - _SEAL
    digest = _hash(out, end)
    out.seek(end)
    out.write(digest.encode("ascii"))
    return digest


def _hash(file: IO[bytes], size: int) -> str:
    file.seek(0)
    found, left = hashlib.sha256(), size
    while left and (chunk := file.read(min(_CHUNK, left))):
        found.update(chunk)
        left -= len(chunk)
    return found.hexdigest()


def _put(scratch: Path, file: Path, digest: str) -> None:
    """Give a whole archive its name; an equal one that is there stays, another file is never overwritten."""
    try:
        try:
            os.link(scratch, file)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, as a stick's
            if file.exists():
                raise FileExistsError from None
            scratch.rename(file)
    except FileExistsError:
        with file.open("rb") as there:
            there.seek(max(0, file.stat().st_size - _SEAL))
            if there.read() != digest.encode("ascii"):
                raise Refused(f"{file} is there already and is another file.", hint="Say --to FILE.") from None
        return
    durable.sync(file.parent)


def _archives(folder: Path) -> list[str]:
    return [str(path) for path in folder.glob("*.zip")] if folder.is_dir() else []


def _checked_seal(file: Path) -> str:
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        if size <= _SEAL:
            raise _corrupt(file, "is no archive of a version")
        opened.seek(size - _SEAL)
        seal = opened.read().decode("ascii", "replace")
        if not _DIGEST.fullmatch(seal):
            raise _corrupt(file, "is no archive of a version, or its end is missing")
        if _hash(opened, size - _SEAL) != seal:
            raise _corrupt(file, "does not match its seal: it was changed on its way")
    return seal


def _manifest(file: Path, packed: zipfile.ZipFile) -> tuple[Facts, dict[str, Member]]:
    infos = packed.infolist()
    if not infos or infos[0].filename != MANIFEST or infos[0].file_size > LARGEST_MANIFEST or not _plain(infos[0]):
        raise _corrupt(file, f"has no {MANIFEST} at its beginning")
    try:
        data: dict[str, Any] = json.loads(packed.read(infos[0]))
        if (written := data["format"]) != FORMAT:
            hint = "Import it with a newer mlprod_nb, or export it again with this one."
            raise Refused(f"{file} is of format {str(written)[:20]}, and format {FORMAT} is read here.", hint=hint)
        members = {str(name): Member(int(one["size"]), str(one["sha256"])) for name, one in data["files"].items()}
        return _facts(data), members
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _corrupt(file, f"has a {MANIFEST} that cannot be read: {error}") from None


def _facts(data: dict[str, Any]) -> Facts:
    origin = Origin(**{name: _word(data["origin"][name]) for name in Origin.__dataclass_fields__})
    if not _VERSION.fullmatch(origin.version):
        raise ValueError("its origin names no version")
    if not _DIGEST.fullmatch(data["bundle"]):
        raise ValueError("its bundle is no digest")
    metrics = {_word(name): float(value) for name, value in data["metrics"].items()}
    if not all(math.isfinite(value) for value in metrics.values()):
        raise ValueError("a metric is no number")
    params = {_word(name): str(value)[:_LONGEST_TEXT] for name, value in data["params"].items()}
    note = str(data["note"])[:_LONGEST_TEXT]
    canonical_json([note, params]).decode()
    return Facts(origin, data["bundle"], note, metrics, params)


def _word(text: Any) -> str:
    """Return a text that can be shown in one line of a terminal as it is."""
    if not isinstance(text, str) or len(text) > _LONGEST_WORD or not text.isprintable():
        raise ValueError("a name in it is no plain text")
    return text


def _plain(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is an ordinary file, stored as it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    return stored and kind in (0, stat.S_IFREG) and not info.flag_bits & 0x1 and info.orig_filename == info.filename


def _check_members(file: Path, infos: list[zipfile.ZipInfo], members: dict[str, Member]) -> None:
    names = [info.filename for info in infos[1:]]
    if len(names) > MOST_MEMBERS:
        raise _corrupt(file, f"has {len(names):,} members; {MOST_MEMBERS:,} are the most")
    if len(set(names)) != len(names) or set(names) != set(members):
        raise _corrupt(file, f"does not hold the files that its {MANIFEST} names, each once")
    if missing := [name for name in NEEDED if name not in members]:
        raise _corrupt(file, f"lacks {missing[0]}")
    for info in infos[1:]:
        if not _inside(info.filename):
            raise _corrupt(file, f"holds {info.filename[:_LONGEST_WORD]!r}, which no archive may")
        if not _plain(info) or info.file_size != members[info.filename].size:
            raise _corrupt(file, f"holds {info.filename[:_LONGEST_WORD]!r} not as a plain file of the size it names")
    # Members that lie over one another would unpack to more than the file holds.
    if sum(info.file_size for info in infos) > file.stat().st_size:
        raise _corrupt(file, "names more bytes than it holds")


def _inside(name: str) -> bool:
    """Return whether a member may be in an archive: a known name, or a file below a known folder."""
    parts = name.split("/")
    if not name.isprintable() or len(name) > 1000 or "\\" in name or ":" in name:
        return False
    if any(part in ("", ".", "..") for part in parts) or PurePosixPath(name).is_absolute():
        return False
    return name in FILES if len(parts) == 1 else parts[0] in FOLDERS


def _check_room(file: Path, folder: Path, members: dict[str, Member]) -> None:
    needed, free = sum(member.size for member in members.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(f"{file} needs {needed:,} bytes to unpack, and {folder} has {free:,}.", hint="Make room there.")


def _extract(file: Path, packed: zipfile.ZipFile, name: str, member: Member, folder: Path) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with packed.open(name) as source, target.open("xb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if target.stat().st_size != member.size or digest.hexdigest() != member.sha256:
        raise _corrupt(file, f"holds {name}, which does not match its digest")


def _corrupt(file: Path, problem: str) -> Corrupt:
    return Corrupt(f"{file} {problem}.", hint="Copy it again, or export the version again.")
