"""Notebook files: found by name, read, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mlprod_nb import assets
from mlprod_nb.errors import InvalidInput, NotFound

#: A notebook as nbformat 4 stores it: ``cells``, ``metadata``, ``nbformat``, ``nbformat_minor``.
Notebook = dict[str, Any]


def find(name: str, *, root: Path) -> Path:
    """Return the path of a notebook: the user's own in the workspace first, then one that ships.

    Args:
        name: A file name or path, with or without ``.ipynb``.
        root: The workspace's directory; its ``notebooks`` folder is searched, too.

    Raises:
        NotFound: There is no such notebook.
    """
    file = name if name.endswith(".ipynb") else f"{name}.ipynb"
    folders = (root, root / "notebooks", assets.folder("notebooks"))
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    known = {path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.ipynb")}
    raise NotFound("notebook", name, known)


def read(path: Path) -> Notebook:
    """Read a notebook.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file is no notebook of format 4.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        near = (p.name for p in path.parent.glob("*.ipynb")) if path.parent.is_dir() else ()
        raise NotFound("notebook", path.name, near) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is not a notebook: it is not UTF-8 text.") from None
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path.name} is not a notebook: {error}.") from None
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("cells"), list):
        raise InvalidInput(
            f"{path.name} is not a notebook of format 4.", hint="Open it in JupyterLab and save it, which upgrades it."
        )
    for cell in notebook["cells"]:
        cell["source"] = join(cell.get("source", ""))
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """Write a notebook so that a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file's bytes, as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def join(text: str | list[str]) -> str:
    """Return a multi-line field, which nbformat stores as text or as a list of lines, as text."""
    return text if isinstance(text, str) else "".join(text)
