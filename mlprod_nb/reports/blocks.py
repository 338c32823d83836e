"""Cells of an executed notebook as blocks of its page: text, code, and what was shown, cleaned and bounded."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from mlprod_nb.notebooks.files import join
from mlprod_nb.reports import clean, markup
from mlprod_nb.results import VERDICT_MIME

#: Bytes of one output, and of all outputs of a page; what is longer stays in the notebook.
_OUTPUT_LIMIT = 60_000
_PAGE_LIMIT = 170_000
_TEXT_LIMIT = 8_000
_LEFT_OUT = '<p class="left-out">An output of {size:,} kB is left out here; it is in report.ipynb.</p>'
_HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)
_MIMES = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain")


@dataclass(frozen=True)
class Heading:
    """One line of the table of contents."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Block:
    """One cell as the page shows it; all HTML in it is safe.

    Attributes:
        number: The cell's place in the notebook, from 1.
        text: A text cell's HTML.
        code: A code cell's highlighted source; empty where it is not shown.
        outputs: A code cell's outputs as HTML.
        state: ``""``, ``"failed"`` or ``"not run"``.
    """

    number: int
    text: str = ""
    code: str = ""
    outputs: tuple[str, ...] = ()
    state: str = ""


@dataclass
class Builder:
    """Turns cells into blocks and collects headings on the way.

    Attributes:
        failure: Which cell failed, and why; ``None`` where none did.
        title: The notebook's first heading of the first level.
        blocks: The blocks so far.
        contents: The headings so far.
    """

    failure: dict[str, Any] | None
    title: str = ""
    blocks: list[Block] = field(default_factory=list)
    contents: list[Heading] = field(default_factory=list)
    _size: int = 0

    def add(self, index: int, cell: dict[str, Any]) -> None:
        """Add the cell at a place of the notebook, counted from 0; what a tag or an empty cell hides adds nothing."""
        tags = set(cell["metadata"].get("tags", ()))
        failed = self.failure is not None and self.failure["cell"] == index
        if "remove-cell" in tags and not failed:
            return
        source = join(cell["source"])
        if cell["cell_type"] == "markdown":
            if text := self._text(source):
                self.blocks.append(Block(index + 1, text=text))
        elif cell["cell_type"] == "code" and source.strip():
            self.blocks.append(self._code(index, cell, source, tags, failed=failed))

    def _text(self, source: str) -> str:
        rendered = markup.markdown(source, escape=False)
        return _HEADING.sub(self._heading, clean.author_html(rendered)).strip()

    def _heading(self, match: re.Match[str]) -> str:
        level, inner = int(match.group(1)), match.group(2)
        text = html.unescape(re.sub(r"<[^>]*>", "", inner)).strip()
        if level == 1 and not self.title:
            self.title = text
            return ""
        level = max(level, 2)
        slug = re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "part"
        anchor = f"s-{len(self.contents) + 1}-{slug[:40]}"
        self.contents.append(Heading(level, text, anchor))
        return f'<h{level} id="{html.escape(anchor)}">{inner}</h{level}>'

    def _code(self, index: int, cell: dict[str, Any], source: str, tags: set[str], *, failed: bool) -> Block:
        hidden = tags & {"remove-input", "remove_input", "parameters", "injected-parameters"} and not failed
        outputs = () if "remove-output" in tags and not failed else tuple(self._outputs(cell))
        status = cell["metadata"].get("papermill", {}).get("status")
        state = "failed" if failed else "not run" if self.failure is not None and status == "pending" else ""
        return Block(index + 1, code="" if hidden else markup.highlighted(source), outputs=outputs, state=state)

    def _outputs(self, cell: dict[str, Any]) -> list[str]:
        shown = []
        for output in _joined(cell.get("outputs", ())):
            room = min(_OUTPUT_LIMIT, _PAGE_LIMIT - self._size)
            raw = _raw_size(output)
            # Cleaning takes seconds a megabyte: what cannot fit is not cleaned.
            text = _output(output, alt=cell["metadata"].get("alt", "")) if raw <= 1.5 * room else ""
            size = len(text.encode("utf-8", "replace")) if text else raw
            if size > room:
                text = _LEFT_OUT.format(size=max(size // 1000, 1))
            self._size += len(text)
            shown.append(text)
        return [text for text in shown if text]


def _raw_size(output: dict[str, Any]) -> int:
    """Return the characters of what would be shown; plain text is shortened anyway."""
    data = output.get("data", {})
    mime = next((mime for mime in _MIMES if mime in data), "text/plain")
    return 0 if mime == "text/plain" or VERDICT_MIME in data else len(join(data[mime]))


def _joined(outputs: Any) -> list[dict[str, Any]]:
    """Join a stream's pieces that follow one another."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "stream":
            text = join(output["text"])
            last = joined[-1] if joined else {}
            if last.get("output_type") == "stream" and last["name"] == output["name"]:
                joined[-1] = {**last, "text": last["text"] + text}
                continue
            output = {**output, "text": text}
        joined.append(output)
    return joined


def _output(output: dict[str, Any], *, alt: str) -> str:
    kind = output["output_type"]
    if kind == "stream":
        text = _plain(output["text"])
        if output["name"] == "stderr":
            return f'<details class="messages"><summary>Messages</summary>{text}</details>' if text else ""
        return text
    if kind == "error":
        trace = _plain("\n".join(output["traceback"]))
        said = html.escape(markup.without_colours(f"{output['ename']}: {output['evalue']}"))
        return f'<div class="error"><p>{said}</p><details><summary>Traceback</summary>{trace}</details></div>'
    data = output.get("data", {})
    if VERDICT_MIME in data:
        return ""
    mime = next((mime for mime in _MIMES if mime in data), "")
    return _shown(mime, data[mime], output.get("metadata", {}).get(mime, {}).get("alt", alt)) if mime else ""


def _shown(mime: str, data: Any, alt: str) -> str:
    text = join(data)
    if mime == "text/html":
        return clean.output_html(text)
    if mime == "text/markdown":
        return clean.output_html(markup.markdown(text, escape=True))
    if mime.startswith("image/"):
        return clean.image(mime, text, alt or "Figure without a description")
    return _plain(text)


def _plain(text: str) -> str:
    # Cut before colours are taken out too, which is slow on megabytes.
    long = len(text) > _TEXT_LIMIT
    head, tail = (text[:_TEXT_LIMIT], text[-_TEXT_LIMIT:]) if long else (text, "")
    text, tail = markup.without_colours(head).strip("\n"), markup.without_colours(tail).strip("\n")
    if not text.strip():
        return ""
    if long:
        text = text[: _TEXT_LIMIT // 2] + "\n… shortened; the whole is in report.ipynb …\n" + tail[-_TEXT_LIMIT // 2 :]
    return f'<pre tabindex="0">{html.escape(text)}</pre>'
