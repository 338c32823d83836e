"""The evidence that stands behind a report in the index: its ``verdict.json`` and the files beside it.

A report's digest covers its verdict and all that it is bound to. The page and the notebook name that digest, so they
cannot be part of it: their own digests are in the index, put there in one transaction with the report. So an approval
of a digest is an approval of what the reviewer read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlprod_nb.errors import Corrupt, NotFound

FILE = "verdict.json"
PAGE = "index.html"
AGAIN = "Run the report again."


def canonical(body: dict[str, Any]) -> bytes:
    """Return a report's body as the one JSON text that its digest is taken of: sorted keys, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(body: dict[str, Any]) -> str:
    """Return a report's digest: SHA-256 of its canonical JSON, as hexadecimal text."""
    return hashlib.sha256(canonical(body)).hexdigest()


def write(folder: Path, body: dict[str, Any]) -> Path:
    """Write ``verdict.json``: the body and its digest."""
    file = folder / FILE
    content = body | {"digest": digest(body)}
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def verify(folder: Path) -> dict[str, Any]:
    """Read a report's ``verdict.json`` and check it against its digest.

    Raises:
        NotFound: The folder holds none: the report failed, or was removed.
        Corrupt: It was changed after it was written.
    """
    file = folder / FILE
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        stated = content.pop("digest")
    except FileNotFoundError:
        raise NotFound("verdict at", str(file), hint="The report failed or was removed; run it again.") from None
    except (ValueError, KeyError, AttributeError):
        raise Corrupt(f"{file} is not a report's verdict.", hint=AGAIN) from None
    if digest(content) != stated:
        raise Corrupt(f"{file} does not match its digest {stated[:12]}.", hint=AGAIN)
    return content | {"digest": stated}


def seal(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a report, by its name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def verify_sealed(folder: Path, digest: str, sealed: Mapping[str, str]) -> dict[str, Any]:
    """Check that a report is, file by file, what the index knows of it; return what ``verdict.json`` says.

    Args:
        folder: The report's folder.
        digest: Its digest in the index.
        sealed: The digests of its files in the index.

    Raises:
        NotFound: The folder, or a file of it, was removed.
        Corrupt: A file was changed after it was written.
    """
    content = verify(folder)
    if content["digest"] != digest:
        raise Corrupt(f"{folder / FILE} is another report's, not {digest[:12]}'s.", hint=AGAIN)
    unsealed = [name for name in (PAGE, FILE) if name not in sealed]
    if unsealed:
        raise Corrupt(f"the index holds no seal of {', '.join(unsealed)} of report {digest[:12]}.", hint=AGAIN)
    for name, expected in sealed.items():
        file = folder / name
        if not file.is_file():
            raise NotFound("file of the report", str(file), hint=AGAIN)
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise Corrupt(f"{file} was changed after it was written.", hint=AGAIN)
    return content
