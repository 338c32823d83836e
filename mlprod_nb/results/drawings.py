"""Drawings in a result's HTML: as images.

JupyterLab takes SVG out of the outputs of a notebook that it does not trust, as one that was executed elsewhere, and
leaves its words standing in a heap; an image it keeps. A report's page puts the SVG back in its place, so that it takes
the page's colours.
"""

from __future__ import annotations

import base64
import html
import re

#: An image follows the colour scheme that JupyterLab declares. Another front end may declare none while its page is
#: dark: the contrast of each grey is above 5 where it belongs, and above 3 on the other ground.
_COLOURS = "<style>svg{color:#6b6b6b}@media(prefers-color-scheme:dark){svg{color:#949494}}</style>"
_OPENING = re.compile(r"""<svg\b(?:[^>"']|"[^"]*"|'[^']*')*(?<!/)>""")
_WIDTH = re.compile(r"""\bviewBox=["'][\d.+-]+[ ,]+[\d.+-]+[ ,]+([\d.]+)""")
_WORDS = re.compile(r"<(title|desc)>(.*?)</\1>", re.DOTALL)
_BEGINNING = '<img class="mlprod-drawing" src="data:image/svg+xml;base64,'
_IMAGE = re.compile(re.escape(_BEGINNING) + r'([A-Za-z0-9+/]*={0,2})"[^<>]*>')


def image(svg: str) -> str:
    """Return a drawing as an image whose alternative text is the drawing's title and description.

    Args:
        svg: An SVG element.
    """
    coloured = _OPENING.sub(lambda opening: opening.group() + _COLOURS, svg, count=1)
    encoded = base64.b64encode(coloured.encode("utf-8", "replace")).decode()
    words = html.unescape(": ".join(text for _, text in _WORDS.findall(svg)))
    width = _WIDTH.search(svg)
    size = f"width:{width.group(1)}px;max-width:100%" if width else "max-width:100%"
    return f'{_BEGINNING}{encoded}" alt="{html.escape(words)}" style="{size}">'


def unpacked(text: str) -> str:
    """Return HTML in which each image that :func:`image` made is the drawing again; it is as safe as the text was."""
    return _IMAGE.sub(lambda found: _svg(found.group(1)), text) if _BEGINNING in text else text


def _svg(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace").replace(_COLOURS, "", 1)
    except ValueError:  # not whole groups of four
        return ""
