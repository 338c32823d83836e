"""Every line of ours in the README and in the shipped notebooks is one that the grammar takes."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from mlprod_nb import assets, commands

_README = Path(__file__).parent.parent / "README.md"
_LINE = re.compile(r"^\s*(?:\w+\s*=\s*)?(%{0,2})mlprod (?P<words>.+)$")


def documented() -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", _README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for path in sorted(assets.folder("notebooks").glob("*.ipynb")):
        blocks += [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    found = (_LINE.match(line) for block in blocks for part in block.splitlines() for line in part.split("||"))
    return sorted({match["words"].strip() for match in found if match})


@pytest.mark.parametrize("line", documented())
def test_a_documented_line_parses(line: str) -> None:
    words = commands.split(line)
    names = {word.removeprefix("$"): "any" for word in words if word.startswith("$")}
    assert isinstance(commands.parse(words, commands.Door(names=names)), commands.Call)


def test_there_are_lines_to_check() -> None:
    assert len(documented()) > 15
