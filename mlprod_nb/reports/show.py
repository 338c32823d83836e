"""What report notebooks show: parts of a result, and drawings.

A report tells one thing after the other, while a result shows all of itself. Both ways the content is the result's own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mlprod_nb.results import Result, Section
from mlprod_nb.results.drawings import image
from mlprod_nb.results.page import escaped


class Figure(Protocol):
    """A drawing with words, as monitoring makes them."""

    @property
    def description(self) -> str:
        """What there is to see."""

    @property
    def svg(self) -> str:
        """The drawing."""


@dataclass(frozen=True)
class Gallery:
    """Drawings side by side, each with its words.

    Attributes:
        drawings: SVG text and what there is to see.
        sentence: What is said where there is no drawing.
    """

    drawings: tuple[tuple[str, str], ...]
    sentence: str

    def _repr_html_(self) -> str:
        if not self.drawings:
            return f"<p>{html.escape(self.sentence)}</p>"
        shown = "".join(
            f'<figure style="margin:0">{image(svg)}<figcaption>{escaped(words)}</figcaption></figure>'
            for svg, words in self.drawings
        )
        layout = "display:flex;flex-wrap:wrap;gap:1.5rem;color:var(--jp-ui-font-color1,currentColor)"
        return f'<div class="gallery" style="{layout}">{shown}</div>'

    def __str__(self) -> str:
        return "\n".join(words for _, words in self.drawings if words) or self.sentence


@dataclass(frozen=True)
class Part(Result):
    """Some of a result's sections, below drawings where there are any.

    Attributes:
        sentence: What is said where there is nothing to show.
        parts: The sections.
        drawings: SVG text and what there is to see.
    """

    sentence: str
    parts: tuple[Section, ...]
    drawings: tuple[tuple[str, str], ...] = ()

    def headline(self) -> str:
        """Return the drawings' words, or the sentence where there is nothing to show."""
        return "" if self.parts and not self.drawings else str(Gallery(self.drawings, self.sentence))

    def sections(self) -> Sequence[Section]:
        """Return the sections."""
        return self.parts

    def _repr_html_(self) -> str:
        if not self.parts or self.drawings:  # drawings carry their words themselves
            drawn = Gallery(self.drawings, self.sentence)._repr_html_()
            return drawn + (Part("", self.parts)._repr_html_() if self.parts else "")
        return super()._repr_html_()


def part(result: Result, *titles: str, figures: Sequence[Figure] = (), otherwise: str) -> Part:
    """Show the sections of a result that have one of these titles; the facts at its beginning have none (``""``).

    Args:
        result: Any result.
        titles: Titles of sections; what a section adds in brackets is not part of its title.
        figures: What is drawn above them.
        otherwise: What is said where there is none, and nothing is drawn.
    """
    found = [replace(s, detail=False) for s in result.sections() if s.title.split(" (")[0] in titles and s.rows]
    if len(found) == 1:
        # The heading above it says the same; what is in brackets it does not say.
        _, _, remark = found[0].title.partition(" (")
        found = [replace(found[0], title=remark.removesuffix(")"))]
    return Part(otherwise, tuple(found), _drawings(figures))


def figures(found: Sequence[Figure], *, otherwise: str) -> Gallery:
    """Show figures side by side, their descriptions below, or a sentence where there are none."""
    return Gallery(_drawings(found), otherwise)


def drawing(svg: str, *, otherwise: str) -> Gallery:
    """Show one drawing, or a sentence where it is empty."""
    return Gallery(((svg, ""),) if svg else (), otherwise)


def _drawings(found: Sequence[Figure]) -> tuple[tuple[str, str], ...]:
    return tuple((figure.svg, figure.description) for figure in found)
