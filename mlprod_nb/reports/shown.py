"""What an executed report shows, as values that can be compared: the cells of its tables, its words, its drawings."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from mlprod_nb.notebooks.files import Notebook, join
from mlprod_nb.results import VERDICT_MIME
from mlprod_nb.results.drawings import unpacked

#: Told of the moment at which a report is made, not of the range that it is bound to.
OF_THE_MOMENT = "since the last report"
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Place:
    """Where a value stands.

    Attributes:
        part: The heading above it, and the table's caption.
        row: What its row begins with; of words the whole line.
        column: Its column's head; empty where there is none.
    """

    part: str
    row: str = ""
    column: str = ""


@dataclass
class _Table:
    caption: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


class _Reader(HTMLParser):
    """Takes HTML apart into tables, the words beside them, and a digest of the drawings."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[_Table] = []
        self.words: list[str] = []
        self.drawings: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append(_Table())
        elif tag == "tr" and self.tables:
            self.tables[-1].rows.append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1].rows:
            self.tables[-1].rows[-1].append("")
        if tag == "svg" or "svg" in self._inside or tag == "img":
            self.drawings.append(f"{tag} {sorted((name, value or '') for name, value in attrs)}")
        if tag in ("table", "thead", "caption", "svg", "style", "script"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]
        if tag == "tr" and "thead" in self._inside and self.tables and self.tables[-1].rows:
            self.tables[-1].head = self.tables[-1].rows.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self._inside or "script" in self._inside:
            return
        if "svg" in self._inside:
            self.drawings.append(data)
        elif "caption" in self._inside and self.tables:
            self.tables[-1].caption += data
        elif "table" in self._inside:
            if self.tables[-1].rows and self.tables[-1].rows[-1]:
                self.tables[-1].rows[-1][-1] += data
        elif data.strip():
            self.words.append(" ".join(data.split()))


def values(notebook: Notebook) -> dict[Place, str]:
    """Return everything that a report shows but its verdict, its code and its messages, by where it stands.

    A table's row is known by its first cell; of rows that begin alike the second is known by ``… (2)``. A line of words
    is known by itself, and its value is ``said``. Of drawings there is a digest. What is told of the moment rather than
    of the evidence is left out.
    """
    found: dict[Place, str] = {}
    heading = "top"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            heading = next(reversed(_HEADING.findall(join(cell["source"]))), heading)
            continue
        if OF_THE_MOMENT in heading.lower():
            continue
        for output in cell.get("outputs", ()):
            _add(found, heading, output)
    return found


def _add(found: dict[Place, str], heading: str, output: dict[str, Any]) -> None:
    data = output.get("data", {})
    if VERDICT_MIME in data or output.get("name") == "stderr":
        return
    reader = _Reader()
    if "text/html" in data or "image/svg+xml" in data:
        reader.feed(unpacked(join(data.get("text/html", ""))) + join(data.get("image/svg+xml", "")))
        reader.close()
    else:
        reader.words = join(data.get("text/plain", output.get("text", ""))).split("\n")
        reader.drawings = [join(data[mime]) for mime in sorted(data) if mime.startswith("image/")]
    for table in reader.tables:
        _add_table(found, heading, table)
    found |= {Place(heading, line): "said" for line in map(str.strip, reader.words) if line}
    if reader.drawings:
        digest = hashlib.sha256("\n".join(reader.drawings).encode("utf-8", "replace")).hexdigest()
        _put(found, Place(heading, "drawings"), digest[:12])


def _add_table(found: dict[Place, str], heading: str, table: _Table) -> None:
    # A caption says in brackets how many rows are shown, which may differ where the rows do not.
    caption = " ".join(table.caption.partition(" (")[0].split())
    if caption.lower() == OF_THE_MOMENT:
        return
    part = f"{heading}: {caption}" if caption else heading
    met: dict[str, int] = {}
    for row in table.rows:
        cells = [" ".join(cell.split()) for cell in row]
        if not cells:
            continue
        met[cells[0]] = met.get(cells[0], 0) + 1
        name = cells[0] if met[cells[0]] == 1 else f"{cells[0]} ({met[cells[0]]})"
        for index, cell in enumerate(cells[1:], 1):
            column = table.head[index] if index < len(table.head) else ""
            _put(found, Place(part, name, column), cell)
        if len(cells) == 1:
            _put(found, Place(part, name), "is there")


def _put(found: dict[Place, str], place: Place, value: str) -> None:
    """Keep a value; of several at one place all count."""
    found[place] = f"{found[place]}\n{value}" if place in found else value
