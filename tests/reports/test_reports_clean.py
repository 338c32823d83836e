"""What a page keeps of outputs, texts and drawings, and what it takes away: scripts, and addresses of other sites."""

from __future__ import annotations

import base64
import re

import pytest

from mlprod_nb.reports import clean
from tests.notebook_files import code, text
from tests.reports.pages import HOSTILE, external, hostile_page, page, shown, without_our_script


def test_nothing_in_a_page_of_hostile_strings_can_run_or_fetch() -> None:
    content = without_our_script(hostile_page())
    # What the notebook's author wrote may hold links; a link asks for nothing until it is followed.
    assert external(re.sub(r'<a href="https?://[^"]*">', "<a>", content)) == []
    assert "&lt;script&gt;window.hit=1&lt;/script&gt;" in content


@pytest.mark.parametrize("string", HOSTILE)
def test_a_hostile_string_is_made_safe_wherever_it_stands(string: str) -> None:
    for made in (
        clean.output_html(string),
        clean.output_html(f"<table><td>{string}</td></table>"),
        clean.drawing(string),
    ):
        assert external(made) == []
    assert external(re.sub(r'href="https?://[^"]*"', "", clean.author_html(string))) == []


def test_a_drawing_keeps_its_shapes_words_and_colours() -> None:
    drawn = (
        '<figure><svg viewBox="0 0 9 9" role="img" aria-label="a &amp; b"><title>T</title><g class="axis">'
        '<path d="M0 0h9" style="stroke:var(--window,#06c)"/><text x="1" y="2">dep &lt; 3<tspan dx="1">µ</tspan></text>'
        "</g></svg><figcaption>c</figcaption></figure>"
    )
    made = clean.output_html(drawn)
    for part in (
        'viewBox="0 0 9 9"',
        'aria-label="a &amp; b"',
        "<title>T</title>",
        "var(--window,#06c)",
        "dep &lt; 3<tspan",
    ):
        assert part in made
    assert "<figcaption>c</figcaption></figure>" in made


def test_images_are_inside_the_page_and_carry_their_description() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><style>path{fill:red}</style></svg>'
    output = {
        "output_type": "display_data",
        "metadata": {"image/svg+xml": {"alt": "Delay, April"}},
        "data": {"image/svg+xml": svg},
    }
    content = page(code("plot", outputs=[output]), shown())
    assert base64.b64encode(svg.encode()).decode() in content
    assert 'alt="Delay, April"' in content


def test_a_drawing_of_plain_shapes_takes_the_colours_of_the_page() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" fill="currentColor"><title>T</title><path d="M0 0"/></svg>'
    output = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": svg}}
    assert '<figure><svg fill="currentColor"><title>T</title><path d="M0 0"></path></svg></figure>' in page(
        code("plot", outputs=[output]), shown()
    )


def test_formulas_tables_and_code_of_a_text_are_kept_and_its_html_is_made_safe() -> None:
    written = "# A\n\nIf $a_1 < b_2$ then\n\n| x | y |\n|---|---|\n| 1 | ~~2~~ |\n\n`code_x`<b onclick=x>b</b>"
    content = page(text(written), shown())
    for part in ("$a_1 &lt; b_2$", "<td>1</td>", "<del>2</del>", "<code>code_x</code>", "<b>b</b>"):
        assert part in content
