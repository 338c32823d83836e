"""What report notebooks show: parts of a result, and drawings.

A report tells one thing after the other, while a result shows all of itself. Both ways the content is the result's own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from mlprod_nb.results import Result, Section


@dataclass(frozen=True)
class Part(Result):
    """Some of a result's sections.

    Attributes:
        sentence: What is said where there is no such section.
        parts: The sections.
    """

    sentence: str
    parts: tuple[Section, ...]

    def headline(self) -> str:
        """Return the sentence where there is nothing to show."""
        return "" if self.parts else self.sentence

    def sections(self) -> Sequence[Section]:
        """Return the sections."""
        return self.parts

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self.parts else f"<p>{html.escape(self.sentence)}</p>"


@dataclass(frozen=True)
class Drawing:
    """A drawing as SVG text, or a sentence where there is none.

    Attributes:
        svg: The drawing; empty where there is none.
        sentence: What is said then.
    """

    svg: str
    sentence: str

    def _repr_html_(self) -> str:
        if not self.svg:
            return f"<p>{html.escape(self.sentence)}</p>"
        return f'<figure style="color:var(--jp-ui-font-color1,currentColor)">{self.svg}</figure>'


def part(result: Result, *titles: str, otherwise: str) -> Part:
    """Show the sections of a result that have one of these titles; the facts at its beginning have none (``""``).

    Args:
        result: Any result.
        titles: Titles of sections; what a section adds in brackets is not part of its title.
        otherwise: What is said where there is none.
    """
    found = [section for section in result.sections() if section.title.split(" (")[0] in titles]
    return Part(otherwise, tuple(section for section in found if section.rows))


def drawing(svg: str, *, otherwise: str) -> Drawing:
    """Show a drawing, or a sentence where it is empty."""
    return Drawing(svg, otherwise)
