"""Drawings in a result's HTML: images for notebooks, SVG again in pages."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest

from mlprod_nb.reports import clean, shown
from mlprod_nb.results.drawings import image, unpacked
from tests.notebook_files import code, html, notebook, text

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" aria-label="a > b" viewBox="0 0 680 90" fill="currentColor">'
    "<title>Delay &amp; rain</title><desc>more</desc><path d='M0 0'/><text>µ</text></svg>"
)


def test_a_drawing_is_an_image_with_its_size_and_its_words() -> None:
    made = image(SVG)
    assert re.findall("<[a-z]+", made) == ["<img"]
    assert 'alt="Delay &amp; rain: more"' in made
    assert 'style="width:680px;max-width:100%"' in made


def test_an_image_follows_the_colour_scheme_of_the_page_around_it() -> None:
    found = re.search(r'base64,([^"]+)"', image(SVG))
    assert found is not None
    root = ElementTree.fromstring(base64.b64decode(found.group(1)))
    style = root[0]
    assert style.tag.endswith("style")
    assert "prefers-color-scheme:dark" in str(style.text)


@pytest.mark.parametrize("svg", [SVG, "<svg/>", "<svg><path/></svg>", "no drawing"])
def test_an_image_is_the_same_drawing_again_in_a_page(svg: str) -> None:
    assert unpacked(f"<p>a</p>{image(svg)}<p>b</p>{image(svg)}") == f"<p>a</p>{svg}<p>b</p>{svg}"


def test_a_page_holds_the_drawing_rather_than_its_image() -> None:
    assert clean.output_html(f"<p>{image(SVG)}</p>") == clean.output_html(f"<p>{SVG}</p>")


@pytest.mark.parametrize(
    "inside", ["<script>window.hit=1</script>", "<svg onload='window.hit=1'/>", "\xff", "<!DOCTYPE a>"]
)
def test_what_an_image_hides_is_cleaned_as_everything_else(inside: str) -> None:
    made = clean.output_html(image(image(inside)))
    assert "window" not in clean.output_html(image(inside)) + made
    assert "data:image" not in clean.output_html(image(inside))


def test_an_image_that_is_cut_off_shows_nothing() -> None:
    assert unpacked('<img class="mlprod-drawing" src="data:image/svg+xml;base64,A">') == ""


def test_a_report_with_images_shows_the_same_as_one_of_before_with_svg() -> None:
    before, after = (shown.values(notebook(text("# T"), code("x", outputs=[html(one)]))) for one in (SVG, image(SVG)))
    assert before == after
    assert len(after) == 1
    assert not any("mlprod-drawing" in value for value in after.values())
