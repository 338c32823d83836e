"""Showing how far a verb is: in place in a notebook or a terminal, line by line in a log.

What a notebook keeps at the end is what it was given at the beginning, an empty output: nbval takes the first, a front
end the last, and so they agree. A verb that fails or is interrupted leaves the step at which it was.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any, Literal, Protocol

from mlprod_nb.progress import Progress
from mlprod_nb.results import CSS

Ending = Literal["done", "failed", "interrupted"]
_BETWEEN_SECONDS = 0.1
_BAR = 24
_NUMBER = re.compile(r"\d[\d,.]*")
_ERASE = "\r\x1b[K"


class Shown(Progress, Protocol):
    """A listener that shows what it hears, and is told how the verb ended."""

    def end(self, ending: Ending) -> None:
        """Show how it ended."""


@dataclass(frozen=True)
class Steps:
    """What is known of a verb under way.

    Attributes:
        past: The steps that are done.
        now: The present one; empty before the first.
        done: How many parts of it are done.
        total: How many there are; 0 where nobody counts.
    """

    past: tuple[str, ...] = ()
    now: str = ""
    done: int = 0
    total: int = 0

    def begin(self, name: str) -> Steps:
        """Return what is known when the next step begins; one that only counts on takes the place of the one before."""
        over = bool(self.now) and _NUMBER.sub("0", self.now) != _NUMBER.sub("0", name)
        return Steps((*self.past, self.now) if over else self.past, name)

    def line(self) -> str:
        """Return the present step in words: ``reading files (3 of 12)``."""
        return f"{self.now} ({self.done} of {self.total})" if self.total else self.now


class Nothing:
    """Shows nothing."""

    def step(self, name: str) -> None:
        """Show nothing."""

    def at(self, done: int, total: int) -> None:
        """Show nothing."""

    def end(self, ending: Ending) -> None:
        """Show nothing."""


class Lines:
    """One line a step, for logs and pipes.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last = ""

    def step(self, name: str) -> None:
        """Write the step, unless it was said just now."""
        if name == self._last:
            return
        self._last = name
        self._stream.write(f"· {name}\n")
        self._stream.flush()

    def at(self, done: int, total: int) -> None:
        """Keep a log short."""

    def end(self, ending: Ending) -> None:
        """Leave the rest to the error's line."""


class Surface(Protocol):
    """One place whose content can be replaced."""

    def open(self) -> None:
        """Make the place."""

    def show(self, steps: Steps) -> None:
        """Show what is known."""

    def close(self, steps: Steps, ending: Ending) -> None:
        """Leave what stays."""


class InPlace:
    """Shows everything in one place, at most ten times a second.

    Args:
        surface: The place.
        clock: Gives seconds that only go forward.
    """

    def __init__(self, surface: Surface, clock: Callable[[], float] = time.monotonic) -> None:
        self._surface = surface
        self._steps = Steps()
        self._clock = clock
        self._shown_at = 0.0

    def step(self, name: str) -> None:
        """Show the step."""
        if not self._steps.now:
            self._surface.open()
        self._steps = self._steps.begin(name)
        self._show()

    def at(self, done: int, total: int) -> None:
        """Show how far it is, unless that was done a moment ago."""
        self._steps = replace(self._steps, done=done, total=total)
        if self._clock() - self._shown_at >= _BETWEEN_SECONDS:
            self._show()

    def end(self, ending: Ending) -> None:
        """Show how it ended; a verb without steps has shown nothing."""
        if self._steps.now:
            self._surface.close(self._steps, ending)

    def _show(self) -> None:
        self._shown_at = self._clock()
        self._surface.show(self._steps)


class TerminalLine:
    """The last line of a terminal.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def open(self) -> None:
        """Leave it to the first step."""

    def show(self, steps: Steps) -> None:
        """Write over the line."""
        filled = _BAR * steps.done // steps.total if steps.total else 0
        bar = f" [{'#' * filled}{'.' * (_BAR - filled)}]" if steps.total else " …"
        self._write(f"{_ERASE}{steps.line()}{bar}")

    def close(self, steps: Steps, ending: Ending) -> None:
        """Take the line away; where the verb did not come to its end, say at which step it was."""
        self._write(_ERASE if ending == "done" else f"{_ERASE}✗ {ending} while {steps.line()}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class CellOutput:
    """One output of a notebook's cell.

    Args:
        publish: Shows a MIME bundle; its second argument tells whether the output is there already.
    """

    def __init__(self, publish: Callable[[dict[str, Any], bool], None]) -> None:
        self._publish = publish

    def open(self) -> None:
        """Show an empty output."""
        self._publish(_bundle("", ""), False)

    def show(self, steps: Steps) -> None:
        """Show all steps, the present one with its bar."""
        past = "".join(f"<li>✓ {html.escape(name)}</li>" for name in steps.past)
        bar = f' <progress value="{steps.done}" max="{steps.total}"></progress>' if steps.total else ""
        now = f'<li aria-current="step">… {html.escape(steps.line())}{bar}</li>'
        text = "\n".join([*(f"✓ {name}" for name in steps.past), f"… {steps.line()}"])
        self._publish(_bundle(text, f"<ul>{past}{now}</ul>"), True)

    def close(self, steps: Steps, ending: Ending) -> None:
        """Show the empty output again; where the verb did not come to its end, say at which step it was."""
        text = "" if ending == "done" else f"✗ {ending} while {steps.line()}"
        self._publish(_bundle(text, f"<p>{html.escape(text)}</p>" if text else ""), True)


def _bundle(text: str, body: str) -> dict[str, Any]:
    # Both classes, since JupyterLab's rule for lists has as many and would indent them.
    style = f"<style>{CSS}.mlprod-result.mlprod-progress :is(ul,p){{list-style:none;margin:0;padding:0}}</style>"
    page = f'<div class="mlprod-result mlprod-progress" role="status">{style}{body}</div>' if body else ""
    return {"text/plain": text, "text/html": page}
