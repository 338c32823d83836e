"""Bundles: what the gateway loads, immutable and addressed by content.

A bundle is a folder. ``manifest.json`` holds the SHA-256 digest of every other file, and the SHA-256 digest of the
manifest's own bytes is the bundle's name, so two bundles with one name are equal byte for byte. This module imports
nothing but the standard library: the gateway reads bundles without knowing MLflow, pandas or ONNX.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from mlprod_nb import durable, locks
from mlprod_nb.errors import Corrupt, NotFound

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
WARMUP = "warmup.json"
PROFILE = "profile.json"
REFERENCE = "reference.parquet"
ONNX_MODEL = "model.onnx"
PYTHON_MODEL = "python_model"
LABEL_COLUMN, SCORE_COLUMN, PREDICTION_COLUMN = "__label__", "__score__", "__prediction__"

ColumnType = Literal["double", "long", "boolean", "string"]
Task = Literal["classification", "regression"]
RuntimeName = Literal["onnx", "python"]
ClassLabel = str | int | float | bool

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Column:
    """One input column of a model.

    Attributes:
        name: The column's name.
        type: ``"double"``, ``"long"``, ``"boolean"`` or ``"string"``.
        nullable: Whether a value may be missing.
    """

    name: str
    type: ColumnType
    nullable: bool


@dataclass(frozen=True)
class Signature:
    """The columns a model takes, in the order it was trained on."""

    columns: tuple[Column, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def only_numbers(self) -> bool:
        """Whether every column is a double."""
        return all(column.type == "double" for column in self.columns)

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)

    def to_json(self) -> bytes:
        """Return the signature as canonical JSON."""
        return canonical_json({"columns": [asdict(column) for column in self.columns]})

    @classmethod
    def from_json(cls, text: str | bytes) -> Signature:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: The text is not a signature.
        """
        try:
            columns = tuple(Column(str(c["name"]), c["type"], bool(c["nullable"])) for c in json.loads(text)["columns"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a signature: {error}") from None
        if any(column.type not in get_args(ColumnType) for column in columns):
            raise ValueError("not a signature: a column's type is unknown")
        return cls(columns)


@dataclass(frozen=True)
class Agreement:
    """How a bundle compares with the original model on the reference sample.

    Attributes:
        rows: How many rows were compared.
        label_flips: On how many of them the predicted label differs.
        max_difference: The largest difference of a probability; for a regression the largest relative difference of a
            value (see ``onnx_runner.largest_difference``).
    """

    rows: int
    label_flips: int
    max_difference: float


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        format: Version of the bundle's layout.
        task: ``"classification"`` or ``"regression"``.
        classes: The labels in the model's order; empty for a regression.
        runtime: ``"onnx"`` or ``"python"`` (an MLflow model in ``python_model/``, run in a process of its own).
        runtime_reason: Why it is not ONNX; empty where it is.
        agreement: The bundle against the original model.
        files: Each file's relative name and SHA-256 digest, in hex.
    """

    format: int
    task: Task
    classes: tuple[ClassLabel, ...]
    runtime: RuntimeName
    runtime_reason: str
    agreement: Agreement
    files: dict[str, str]

    def to_json(self) -> bytes:
        """Return the manifest as canonical JSON; its SHA-256 digest is the bundle's name."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: The text is not a manifest of a format that this version reads.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"bundle format {data['format']!r} is not {FORMAT}")
            manifest = cls(
                format=FORMAT,
                task=data["task"],
                classes=tuple(data["classes"]),
                runtime=data["runtime"],
                runtime_reason=str(data["runtime_reason"]),
                agreement=Agreement(**data["agreement"]),
                files=dict(data["files"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a manifest: {error}") from None
        if manifest.task not in get_args(Task) or manifest.runtime not in get_args(RuntimeName):
            raise ValueError("not a manifest: the task or the runtime is unknown")
        return manifest


@dataclass(frozen=True)
class Bundle:
    """One verified bundle on disk.

    Attributes:
        digest: SHA-256 of the manifest's bytes, in hex.
        path: The bundle's folder.
        manifest: What it holds.
        signature: What the model takes.
    """

    digest: str
    path: Path
    manifest: Manifest
    signature: Signature

    def warmup(self) -> tuple[dict[str, list[Any]], list[float]]:
        """Return at most 64 sample rows as columns, and the original model's score of each row.

        A missing value is ``None`` in every column type.

        Raises:
            Corrupt: The file cannot be read.
        """
        try:
            data = json.loads((self.path / WARMUP).read_bytes())
            return dict(data["columns"]), [float(score) for score in data["scores"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"bundle {self.digest[:12]}: {WARMUP} cannot be read: {error}.") from None


def spellings(label: ClassLabel) -> list[str]:
    """Return how a class is written, in any usual way: ``1``, ``1.0``, ``True``, ``true``."""
    if isinstance(label, str):
        return [label]
    if isinstance(label, bool):
        return [str(label), str(label).lower(), str(int(label)), str(float(label))]
    return [str(label), str(float(label)), *([str(int(label))] if float(label).is_integer() else [])] + (
        [str(bool(label)), str(bool(label)).lower()] if label in (0, 1) else []
    )


def canonical_json(data: Any) -> bytes:
    """Return JSON with one spelling: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 digest, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Description:
    """What :func:`seal` writes into a manifest beside the digests; the attributes are those of :class:`Manifest`."""

    task: Task
    classes: tuple[ClassLabel, ...]
    runtime: RuntimeName
    runtime_reason: str
    agreement: Agreement


def seal(folder: Path, description: Description) -> Bundle:
    """Write the manifest of a folder that holds all other files, and read the bundle back."""
    files = {name: file_digest(folder / name) for name in _files(folder) if name != MANIFEST}
    manifest = Manifest(format=FORMAT, files=files, **description.__dict__)
    (folder / MANIFEST).write_bytes(manifest.to_json())
    return read_bundle(folder)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and verify the digest of every file.

    Raises:
        Corrupt: A file is missing, changed, or not listed in the manifest; the message names it.
    """
    try:
        text = (path / MANIFEST).read_bytes()
        manifest = Manifest.from_json(text)
    except (OSError, ValueError) as error:
        raise _corrupt(path, MANIFEST, f"cannot be read: {_reason(error)}") from None
    present = set(_files(path)) - {MANIFEST}
    _check_listing(path, manifest, present)
    for name, expected in sorted(manifest.files.items()):
        try:
            found = file_digest(path / name)
        except OSError as error:
            raise _corrupt(path, name, f"cannot be read: {_reason(error)}") from None
        if found != expected:
            raise _corrupt(path, name, "does not match its digest")
    try:
        signature = Signature.from_json((path / SIGNATURE).read_bytes())
    except (OSError, ValueError) as error:
        raise _corrupt(path, SIGNATURE, f"cannot be read: {_reason(error)}") from None
    return Bundle(hashlib.sha256(text).hexdigest(), path, manifest, signature)


class BundleStore:
    """A folder of bundles by digest.

    Guarantee: a folder ``<digest>/`` is there whole and synced to disk, or not at all.

    Args:
        root: Where the bundles are; made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, folder: Path) -> Bundle:
        """Copy a bundle into the store; one that is there already stays as it is.

        Raises:
            Corrupt: The folder is not a whole bundle.
        """
        digest = read_bundle(folder).digest
        if self._intact(digest):
            return self.get(digest)
        self.root.mkdir(parents=True, exist_ok=True)
        incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self.root))
        try:
            copy = incoming / digest
            shutil.copytree(folder, copy)
            _sync_tree(copy)
            self._place(copy, incoming / "broken")
            durable.sync(self.root)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return self.get(digest)

    def get(self, digest: str) -> Bundle:
        """Return a bundle, verified.

        Raises:
            NotFound: No bundle has that digest.
            Corrupt: The bundle's files do not match its name.
        """
        path = self.root / digest
        if not _DIGEST.fullmatch(digest) or not path.is_dir():
            raise NotFound("bundle", digest, self.digests(), hint="Fetch it from the registry again.")
        bundle = read_bundle(path)
        if bundle.digest != digest:
            raise _corrupt(path, MANIFEST, "does not match the bundle's name")
        return bundle

    def digests(self) -> tuple[str, ...]:
        """Return the digests of all bundles, sorted."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in self.root.iterdir() if _DIGEST.fullmatch(entry.name)))

    def _place(self, copy: Path, broken: Path) -> None:
        """Move a whole copy to its name; of several that do so at once one wins, and a broken one makes way."""
        final = self.root / copy.name
        with locks.held(self.root):
            if self._intact(copy.name):
                return
            if final.exists():
                final.rename(broken)
            copy.rename(final)

    def _intact(self, digest: str) -> bool:
        try:
            self.get(digest)
        except (NotFound, Corrupt):
            return False
        return True


def _check_listing(path: Path, manifest: Manifest, present: set[str]) -> None:
    for name in sorted(manifest.files):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise _corrupt(path, name, "is outside the bundle")
    model = ONNX_MODEL if manifest.runtime == "onnx" else f"{PYTHON_MODEL}/MLmodel"
    needed = {SIGNATURE, WARMUP, PROFILE, REFERENCE, model} | set(manifest.files)
    if missing := sorted(needed - present):
        raise _corrupt(path, missing[0], "is missing")
    if unlisted := sorted(present - set(manifest.files)):
        raise _corrupt(path, unlisted[0], "is not listed in the manifest")


def _files(folder: Path) -> list[str]:
    """List every file below a folder by relative POSIX name; a link is refused, since it may lead outside."""
    names = []
    for entry in sorted(folder.rglob("*")):
        name = entry.relative_to(folder).as_posix()
        if entry.is_symlink():
            raise _corrupt(folder, name, "is a link")
        if not entry.is_dir():
            names.append(name)
    return names


def _corrupt(path: Path, name: str, problem: str) -> Corrupt:
    label = path.name[:12] if _DIGEST.fullmatch(path.name) else path.name
    return Corrupt(f"bundle {label}: {name} {problem}.", hint="Fetch the bundle again or register the model anew.")


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _sync_tree(folder: Path) -> None:
    for entry in (*folder.rglob("*"), folder):
        durable.sync(entry)
