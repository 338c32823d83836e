"""What all panels share: the state that a front end shows, and the lines of the grammar that it may send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from mlprod_nb import assets, commands
from mlprod_nb.errors import MlprodError, Refused, UsageError
from mlprod_nb.progress import whole_imports

if TYPE_CHECKING:
    from mlprod_nb.results import Result

Run = Callable[[str], "Result"]
#: What a notebook's cell has before a line.
MAGIC = "%mlprod "
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)


def module(name: str) -> str:
    """Return a panel's ES module with what it imports before it.

    A front end loads it from a Blob URL, which can import no sibling; for all others the files are plain modules.
    """
    parts: dict[str, str] = {}
    _gather(name, parts)
    return "\n".join(_IMPORT.sub("", text) for text in parts.values())


def _gather(name: str, parts: dict[str, str]) -> None:
    """Add a module after all that it imports."""
    text = assets.path("widgets", f"{name}.js").read_text(encoding="utf-8")
    for imported in _IMPORT.findall(text):
        if imported not in parts:
            _gather(imported, parts)
    parts[name] = text


def style(name: str) -> str:
    """Return the style that all panels share, and a panel's own."""
    return "\n".join(assets.path("widgets", f"{part}.css").read_text(encoding="utf-8") for part in ("base", name))


def run(line: str) -> Result:
    """Run a line as a cell would."""
    with whole_imports():
        return commands.run(commands.split(line.removeprefix(MAGIC.strip())), commands.Door(command=line))


def action(label: str, line: str, *, about: str = "", dry: bool = False, reason: str = "") -> dict[str, Any]:
    """Return a button of a panel.

    Args:
        label: What it says.
        line: The line that it shows, without ``%mlprod``.
        about: What it acts upon, for those who hear it alone.
        dry: Whether the line takes ``--dry-run``.
        reason: ``optional`` or ``needed`` where the line takes ``--reason``.
    """
    return {"label": label, "line": MAGIC + line, "about": about, "dry": dry, "reason": reason}


class Panel(anywidget.AnyWidget):
    """A result that can be read again and acted upon.

    Subclasses name their ES module and say what they show of a result; those that let people compose lines say which.

    Args:
        result: What to show first.
        run: Runs a line of the grammar and returns its result.
    """

    state = traitlets.Dict().tag(sync=True)
    message = traitlets.Dict().tag(sync=True)

    def __init__(self, result: Result, run: Run = run) -> None:
        super().__init__(state=self.view(result))
        self._run = run
        self.on_msg(self._receive)

    def view(self, result: Result) -> dict[str, Any]:
        """Return what the front end shows: plain data, with ``refresh``, the line that reads it again."""
        # Widgets have a metaclass of their own, so this cannot be an abstract method.
        raise NotImplementedError

    def allows(self, words: list[str]) -> bool:  # noqa: ARG002 (for those who let lines be composed)
        """Tell whether a line that no button has may be sent; its words come without ``%mlprod``."""
        return False

    def reads(self, line: str) -> bool:  # noqa: ARG002 (for those who can show another part of the data)
        """Tell whether a line that was offered only reads what the panel is to show from now on."""
        return False

    def details(self, result: Result) -> dict[str, Any]:  # noqa: ARG002 (for those who show more of a line's result)
        """Return what a front end shows of a line's result beside its headline."""
        return {}

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Run the line that was clicked, if it is one that the panel offered."""
        line = content.get("line") if isinstance(content, dict) else None
        told: dict[str, Any] = {"kind": "ok", "text": "", "details": {}}
        refresh = self.state["refresh"]
        try:
            if not isinstance(line, str) or not (line == refresh or self._offered(line)):
                raise Refused("the panel did not offer this line.", hint="Refresh it and try again.")
            if self.reads(line):
                refresh = line
            if line != refresh:
                result = self._run(line)
                told = {"kind": "ok", "text": result.headline(), "details": self.details(result)}
        except MlprodError as error:
            told |= {"kind": "error", "text": str(error)}
        except Exception as error:  # noqa: BLE001 (a panel that waits for ever says less)
            told |= {"kind": "error", "text": f"{type(error).__name__}: {error}"}
        lost = self._refresh(refresh)
        if lost and told["kind"] == "ok":
            told |= {"kind": "error", "text": lost}
        turn = self.message.get("turn", 0) + 1
        self.message = {**told, "turn": turn, "line": "" if line == refresh else str(line)}

    def _refresh(self, line: str) -> str:
        """Read the state by a line; return what is wrong where it cannot be read."""
        try:
            self.state = self.view(self._run(line))
        except MlprodError as error:
            return str(error)
        return ""

    def _offered(self, line: str) -> bool:
        try:
            words = commands.split(line.removeprefix(MAGIC))
        except UsageError:
            return False
        return line.startswith(MAGIC) and (self.allows(words) or any(_fits(words, one) for one in offers(self.state)))


def offers(state: Any) -> Iterator[dict[str, Any]]:
    """Yield every action that a state holds, wherever it lies."""
    if isinstance(state, dict):
        for key, value in state.items():
            if key == "actions" and isinstance(value, list):
                yield from value
            else:
                yield from offers(value)
    elif isinstance(state, list):
        for item in state:
            yield from offers(item)


def trimmed(words: list[str], *, dry: bool, reason: bool) -> list[str]:
    """Return a line's words without the dry run and the reason that may end it."""
    left = list(words)
    if reason and len(left) >= 2 and left[-2] == "--reason":
        left = left[:-2]
    if dry and left and left[-1] == "--dry-run":
        left = left[:-1]
    return left


def _fits(words: list[str], offer: dict[str, Any]) -> bool:
    """Tell whether a line is an action's, as a dry run or with a reason where it takes one."""
    base = commands.split(offer["line"].removeprefix(MAGIC))
    return trimmed(words, dry=bool(offer.get("dry")), reason=bool(offer.get("reason"))) == base
