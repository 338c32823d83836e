"""What a notebook shows, made safe: an allow-list of elements, attributes and styles; no script, no address, no frame.

Two trust levels. Text that the notebook's author wrote (markdown) may hold links; outputs, into which data flows, may
not. Drawings inside an output's HTML are read as XML and written anew from their own allow-list, so that they take
the page's colours; whatever is not understood is left out.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from xml.etree import ElementTree

from mlprod_nb.results.drawings import unpacked


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words("""
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr
    i img ins kbd li ol p pre q s samp section small span strong sub summary sup table tbody td tfoot th thead time tr u
    ul var
""")
_ATTRIBUTES = _words("class colspan rowspan scope title alt width height lang dir open start datetime role")
_STYLES = _words("""
    color background-color width min-width max-width height text-align vertical-align font-weight font-style
    font-variant-numeric white-space margin margin-left margin-top padding border border-bottom display gap flex
    grid-template-columns align-items justify-content flex-wrap opacity
""")
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
_DROPPED = re.compile(r"<(style|script|template|noscript|head|title)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_SVG = re.compile(r"<svg\b.*?</svg\s*>", re.IGNORECASE | re.DOTALL)
_SLOT = "mlprod-drawing-"

_SHAPES = _words("""
    svg g path rect line circle ellipse polyline polygon text tspan title desc defs clipPath linearGradient stop
""")
_SHAPE_ATTRIBUTES = _words("""
    viewBox width height x y x1 y1 x2 y2 cx cy r rx ry d points transform dx dy offset class id role fill stroke opacity
    fill-opacity stroke-opacity stroke-width stroke-dasharray stroke-linecap stroke-linejoin text-anchor clip-path
    dominant-baseline font-size font-weight font-family font-style letter-spacing preserveAspectRatio vector-effect
    stop-color stop-opacity gradientUnits focusable aria-label aria-labelledby aria-hidden aria-describedby
    textLength lengthAdjust paint-order shape-rendering
""")
_ADDRESS = re.compile(r"url\s*\(|expression|javascript:|@import|\\", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
#: Units of a drawing that is too wide for a phone: its words would be less than 9 pixels high.
_WIDE = 500
_OWN_URL = re.compile(r"url\(#[\w.-]+\)")


def output_html(text: str) -> str:
    """Return an output's HTML made safe, its drawings kept."""
    drawings: list[str] = []

    def keep(match: re.Match[str]) -> str:
        drawings.append(drawing(match.group(0)))
        return f"<span>{_SLOT}{len(drawings) - 1}-</span>"

    # A slot that the output itself names must not be filled twice.
    slotted = _SVG.sub(keep, unpacked(text).replace(_SLOT, ""))
    cleaned = _clean(slotted, _output_attribute)
    return re.sub(rf"<span>{_SLOT}(\d+)-</span>", lambda match: drawings[int(match.group(1))], _scrollable(cleaned))


def author_html(text: str) -> str:
    """Return HTML that the notebook's author wrote, made safe; links stay."""
    return _scrollable(_clean(text, _author_attribute))


def drawing(text: str) -> str:
    """Return an SVG drawing written anew from what is allowed, or a note where it is not well-formed XML."""
    if "<!" in text:
        return _left_out("a drawing with a document type")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (no entities without a document type, refused above)
    except ElementTree.ParseError:
        return _left_out("a drawing that is not well-formed")
    shape = _shape(root)
    if _wide(root):  # on a phone it keeps a size at which its words can be read, and scrolls as a wide table does
        return f'<div class="scroll wide" tabindex="0" role="group" aria-label="Figure">{shape}</div>'
    return shape


def _wide(root: ElementTree.Element) -> bool:
    _, _, width, _ = (*root.get("viewBox", "").replace(",", " ").split(), *[""] * 4)[:4]
    return bool(_NUMBER.fullmatch(width)) and float(width) > _WIDE


def _left_out(what: str) -> str:
    return f'<p class="left-out">{what} was left out</p>'


def _shape(element: ElementTree.Element) -> str:
    name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if name not in _SHAPES:
        return ""
    attributes = "".join(
        f' {key}="{html.escape(value)}"'
        for key, value in element.attrib.items()
        if key in _SHAPE_ATTRIBUTES and not _ADDRESS.search(_OWN_URL.sub("", value))
    )
    if "style" in element.attrib and not _ADDRESS.search(element.attrib["style"]):
        attributes += f' style="{html.escape(element.attrib["style"])}"'
    inner = html.escape(element.text or "")
    if name not in ("title", "desc"):
        inner += "".join(_shape(child) + html.escape(child.tail or "") for child in element)
    return f"<{name}{attributes}>{inner}</{name}>"


def _clean(text: str, allowed: Callable[[str, str, str], bool]) -> str:
    from bleach.css_sanitizer import CSSSanitizer  # type: ignore[import-untyped]
    from bleach.sanitizer import Cleaner  # type: ignore[import-untyped]

    cleaner = Cleaner(
        tags=_TAGS,
        attributes=allowed,
        protocols={"http", "https", "mailto", "data"},
        strip=True,
        strip_comments=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES),
    )
    cleaned: str = cleaner.clean(_DROPPED.sub("", text))
    return cleaned


def _output_attribute(tag: str, name: str, value: str) -> bool:
    if name == "style":
        return not _ADDRESS.search(value)
    if tag == "img" and name == "src":
        return bool(_IMAGE.match(value))
    return name in _ATTRIBUTES or name.startswith("aria-label")


def _author_attribute(tag: str, name: str, value: str) -> bool:
    if tag == "a" and name == "href":
        return bool(_LINK.match(value))
    return _output_attribute(tag, name, value)


def _scrollable(text: str) -> str:
    """Let wide tables scroll inside the page, also by keyboard; a head that says nothing is no head."""
    text = re.sub(r"<th\b[^>]*>\s*</th>", "<td></td>", text)
    # A group, since regions are landmarks, of which each needs a name of its own.
    opened = re.sub(r"<table\b", '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table', text)
    return opened.replace("</table>", "</table></div>")


def image(mime: str, data: str, alt: str) -> str:
    """Return an image output as an element whose source is inside the page.

    An SVG made of plain shapes becomes part of the page and takes its colours. Any other stays an image, which as such
    runs no script and loads nothing.
    """
    if mime == "image/svg+xml":
        if _plain_drawing(data):
            return f"<figure>{drawing(data)}</figure>"
        data = base64.b64encode(data.encode("utf-8", "replace")).decode()
    encoded = re.sub(r"\s", "", data)
    if not _BASE64.fullmatch(encoded):
        return _left_out("an image that is not in base64")
    return f'<img class="figure" src="data:{mime};base64,{encoded}" alt="{html.escape(alt)}">'


def _plain_drawing(text: str) -> bool:
    if "<!" in text:
        return False
    try:
        elements = ElementTree.fromstring(text).iter()  # noqa: S314 (as above)
    except ElementTree.ParseError:
        return False
    return all(isinstance(e.tag, str) and e.tag.rpartition("}")[2] in _SHAPES for e in elements)
