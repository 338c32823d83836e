"""Encryption at rest: what the log's files hold can be read with a key alone.

Records are sealed by AES-256-GCM (NIST SP 800-38D), by each process under a key of its own, which HKDF (RFC 5869)
derives from the log's key and 16 random bytes, with a counter as nonce: no key meets a nonce twice. Files are encrypted
as Parquet has it, by its modular encryption (AES_GCM_V1, footer and columns), so that other tools can read them, too.

Guarantee: where ``[log] encrypt`` is on, no value of a prediction or of feedback is written to the log's files in
clear. What can be seen without a key: of which endpoint a record or a file is, of which day, and how long.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import Corrupt, UsageError
from mlprod_nb.prediction_log.framing import Record, scan
from mlprod_nb.prediction_log.segments import SUFFIX
from mlprod_nb.private_files import make_private, read_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from mlprod_nb.settings import Layout, LogSettings

FILE = "log.keys"
_KEY_BYTES, _ID_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 4, 16, 12
_HEAD_BYTES = _ID_BYTES + _SALT_BYTES + _NONCE_BYTES
_PLACE = f".mlprod/secrets/{FILE}"


class KeyMissing(Corrupt):
    """Something in the log is encrypted with a key that is not there."""

    def __init__(self, what: str, key_id: str) -> None:
        hint = f"Put the key back, as a line of {_PLACE} or into MLPROD_LOG__KEYS."
        super().__init__(f"{what} is encrypted with key {key_id}, which is not there.", hint=hint)


class Sealer:
    """Seals the records of one process; each has its own, and none is ever copied into another.

    Args:
        key: The log's key.
    """

    def __init__(self, key: bytes) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._head = bytes.fromhex(_id(key)) + salt
        self._cipher = _derived(key, salt)
        self._numbers = itertools.count()

    def __call__(self, context: bytes, payload: bytes) -> bytes:
        """Return a payload that can be read with the key alone, and in its context alone."""
        nonce = next(self._numbers).to_bytes(_NONCE_BYTES, "big")
        return self._head + nonce + self._cipher.encrypt(nonce, payload, context)


class LogKeys:
    """The keys of one log: the first encrypts what is written, and each what it has encrypted.

    Args:
        file: Holds a key a line, 64 hexadecimal digits; made where something is to be encrypted, and nothing ever was.
        given: Keys that come before those of the file.
        encrypt: Whether what is written is encrypted.
        log: The log's folder.
    """

    def __init__(
        self, file: Path | None = None, given: Sequence[str] = (), *, encrypt: bool = False, log: Path | None = None
    ) -> None:
        self._file = file
        self._log = log
        self._given = given
        self._encrypt = encrypt
        self._ciphers: dict[bytes, AESGCM] = {}

    @classmethod
    def of(cls, layout: Layout, log: LogSettings) -> LogKeys:
        """Return the keys of a workspace's log; nothing is read before one is needed."""
        return cls(layout.secrets / FILE, [key.value for key in log.keys], encrypt=log.encrypt, log=layout.log)

    @property
    def writing(self) -> str:
        """The id of the key that encrypts what is written; empty where nothing is encrypted.

        Raises:
            UsageError: A key is malformed.
            Refused: Others can read the file.
        """
        return next(iter(self._keys_to_write())) if self._encrypt else ""

    def sealer(self) -> Sealer | None:
        """Return what seals the records of this process, or ``None`` where they are not to be encrypted."""
        return Sealer(self._keys_to_write()[self.writing]) if self._encrypt else None

    def open(self, name: str, record: Record) -> Record:
        """Return a record with its payload in clear.

        Args:
            name: The name of its segment.
            record: The record.

        Raises:
            KeyMissing: Its key is not there.
            Corrupt: Its payload is not what was sealed in its place.
        """
        if record.context is None:
            return record
        from cryptography.exceptions import InvalidTag

        sealed = record.payload
        head, nonce = bytes(sealed[: _ID_BYTES + _SALT_BYTES]), sealed[_ID_BYTES + _SALT_BYTES : _HEAD_BYTES]
        cipher = self._ciphers.get(head)
        if cipher is None:
            key = self._key(head[:_ID_BYTES].hex(), f"segment {name} of the prediction log")
            cipher = self._ciphers[head] = _derived(key, head[_ID_BYTES:])
        try:
            payload = cipher.decrypt(nonce, sealed[_HEAD_BYTES:], record.context)
        except InvalidTag:
            problem = f"segment {name} of the prediction log was altered before byte {record.end}"
            raise Corrupt(
                f"{problem}: a record is not what was sealed.", hint="mlprod verify lists all damage."
            ) from None
        return Record(record.kind, record.endpoint, memoryview(payload), record.end)

    def encryption(self) -> Any:
        """Return what pyarrow encrypts a Parquet file by, or ``None`` where it is not to be encrypted."""
        if not self._encrypt:
            return None
        from pyarrow.parquet.encryption import create_encryption_properties

        return create_encryption_properties(self._keys_to_write()[self.writing])

    def decryption(self, path: Path) -> Any:
        """Return what pyarrow reads a Parquet file by, ``None`` where it is in clear, as its name says.

        Raises:
            KeyMissing: Its key is not there.
        """
        key_id = key_of(path)
        if not key_id:
            return None
        from pyarrow.parquet.encryption import create_decryption_properties

        return create_decryption_properties(self._key(key_id, f"file {path.name} of the prediction log"))

    def _key(self, key_id: str, what: str) -> bytes:
        try:
            return self._keys[key_id]
        except KeyError:
            raise KeyMissing(what, key_id) from None

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        """The keys that are there, by their ids, the one to write with first."""
        keys = [_parsed(text, "MLPROD_LOG__KEYS") for text in self._given]
        if self._file is not None and self._file.is_file():
            lines = read_private(self._file).decode("ascii", "replace").splitlines()
            keys += [_parsed(line, _PLACE) for line in lines if line.strip()]
        return {_id(key): key for key in keys}

    def _keys_to_write(self) -> dict[str, bytes]:
        """Return the keys; where there is none and never was, one is made, and on the disk."""
        if not self._keys and self._file is not None:
            for what, key_id in _encrypted(self._log) if self._log is not None else ():
                raise KeyMissing(what, key_id)  # who puts it back later must not put it in a new one's place
            make_private(self._file, lambda: f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
            del self._keys  # read anew
        if not self._keys:
            raise UsageError(f"[log] encrypt is on, and {_PLACE} holds no key.", hint="Remove the empty file.")
        return self._keys


NO_KEYS = LogKeys()


def name_part(key_id: str) -> str:
    """Return what the name of a file ends with, before its suffix, that is encrypted with a key."""
    return f".key-{key_id}" if key_id else ""


def key_of(path: Path) -> str:
    """Return the id of the key that a file is encrypted with, as its name says; empty where it is in clear."""
    return path.name.partition(".key-")[2].partition(".")[0]


def _encrypted(log: Path) -> Iterator[tuple[str, str]]:
    """Yield what in a log is encrypted, and the id of its key."""
    for path in log.glob(f"*{SUFFIX}"):
        for found in scan(memoryview(path.read_bytes())):
            if isinstance(found, Record) and found.context is not None:
                yield f"segment {path.name} of the prediction log", bytes(found.payload[:_ID_BYTES]).hex()
    for path in log.rglob(f"*{name_part('*')}.*"):
        yield f"file {path.name} of the prediction log", key_of(path)


def _id(key: bytes) -> str:
    return hashlib.sha256(b"mlprod log key\0" + key).digest()[:_ID_BYTES].hex()


def _parsed(text: str, place: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        hint = "Make one with: openssl rand -hex 32"
        raise UsageError(
            f"{place} has something that is no key: a key is {2 * _KEY_BYTES} hexadecimal digits.", hint=hint
        )
    return key


def _derived(key: bytes, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt, b"mlprod log records").derive(key))
