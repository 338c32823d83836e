"""Markdown, code and terminal text as HTML: by the libraries that nbconvert uses, without nbconvert.

nbconvert's import takes longer than a page: it is left to those who export by it (:mod:`mlprod_nb.reports.exporter`).
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable
from typing import Any

_PLUGINS = ("strikethrough", "table", "url", "task_lists", "def_list", "math")
#: Without one of these a cell holds neither magic nor shell line nor question.
_BEYOND_PYTHON = frozenset("%!?")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def markdown(text: str, *, escape: bool) -> str:
    """Return a text's HTML, which is not safe yet.

    Args:
        text: Markdown.
        escape: Whether HTML in it is shown as it is written.
    """
    return _converter(escape)(text)


@functools.cache
def _converter(escape: bool) -> Callable[[str], str]:
    import mistune

    renderer = mistune.HTMLRenderer(escape=escape)
    convert = mistune.create_markdown(renderer=renderer, plugins=list(_PLUGINS))
    # Formulas stay as they are written: to set them takes a script of half a megabyte.
    renderer.register("inline_math", lambda _, formula: f"${html.escape(formula)}$")
    renderer.register("block_math", lambda _, formula: f"<p>$${html.escape(formula)}$$</p>")
    return lambda text: str(convert(text))


def highlighted(source: str) -> str:
    """Return a code cell's source as HTML with a class for each kind of word."""
    from pygments import highlight

    lexer, formatter = _highlighting(beyond_python=not _BEYOND_PYTHON.isdisjoint(source))
    return str(highlight(source, lexer, formatter))


@functools.cache
def _highlighting(*, beyond_python: bool) -> tuple[Any, Any]:
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import Python3Lexer

    formatter = HtmlFormatter(cssclass="highlight")
    if not beyond_python:
        return Python3Lexer(), formatter
    # Imports the whole of IPython: a tenth of a second that most reports need not pay.
    from IPython.lib.lexers import IPython3Lexer

    return IPython3Lexer(), formatter


def without_colours(text: str) -> str:
    """Return a terminal's text without its control sequences."""
    return _ANSI.sub("", text)
