"""The notebook's door: ``%mlprod`` and ``%%mlprod``, TAB, and one clear line for every error.

Loading adds one magic and one completer, both gone after ``%unload_ext``. It imports neither the grammar nor any room,
so that it is instant; a thread imports the grammar after the cell that loaded it, so that the first TAB finds it there.
"""

from __future__ import annotations

import ast
import re
import sys
import threading
import uuid
from collections import ChainMap
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.completer import (
    MATCHES_LIMIT,
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.error import StdinNotImplementedError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Bool, Enum, TraitError, Unicode

from mlprod_nb.errors import MlprodError, Refused, UsageError, unexpected
from mlprod_nb.progress import whole_imports
from mlprod_nb.registry.cells import CellLog

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

    from mlprod_nb.commands import Shown
    from mlprod_nb.lifecycle.completing.names import Names, Renewing
    from mlprod_nb.registry.lineage import NotebookContext
    from mlprod_nb.results import Result

_LINE = re.compile(r"\s*(?:[\w\s.,\[\]'\"]+=\s*)?%{1,2}mlprod\s+(?P<rest>.*)")
_CELL = re.compile(r"\s*%%mlprod\b")
_SILENT = re.compile(r"(\s*(?:[\w\s.,\[\]'\"]+=\s*)?%mlprod);(\s*)")
_ONE_LINE = re.compile(r"%%mlprod(\s.*)?\n")
_NAME = "MLProd"
_TAB_SECONDS = 0.05


def _made(shell: InteractiveShell) -> MLProd:
    try:
        return MLProd(shell)
    except TraitError as error:
        # IPython keeps a value that an option has refused: with it nothing could be loaded until the kernel restarts.
        shell.config.pop(_NAME)
        shell.configurables[:] = [part for part in shell.configurables if not isinstance(part, MLProd)]
        raise UsageError(f"%config {_NAME}: {error}", hint="Its options are as they were: load it again.") from None


def load(shell: InteractiveShell) -> None:
    """Add the magics and their completion to a shell.

    Raises:
        UsageError: One of the magic's options has been set to what it cannot be.
    """
    magics = _made(shell)
    shell.register_magics(magics)
    magics.cells.listen()
    shell.events.register("post_run_cell", magics.after_cell)
    shell.input_transformers_cleanup.append(_as_ipython_takes_it)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(magics.complete)


def unload(shell: InteractiveShell) -> None:
    """Take them out again."""
    magics = shell.magics_manager.registry.pop(_NAME, None)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("mlprod", None)
    if magics is None:
        return
    magics.cells.stop()
    shell.events.unregister("post_run_cell", magics.after_cell)
    shell.input_transformers_cleanup.remove(_as_ipython_takes_it)
    shell.configurables.remove(magics)
    magics.end()
    if shell.Completer is not None:
        shell.Completer.custom_matchers.remove(magics.complete)


class _Nothing(list[SimpleCompletion]):
    """Nothing to offer, and nobody else's words either: they would be Python's, and Jedi is slow to find them.

    IPython lets a matcher silence the others only where what it offers has a length.
    """

    def __len__(self) -> int:
        return 1


@magics_class
class MLProd(Magics):
    """The magic and its completion, for one shell; ``%config MLProd`` shows and sets its options."""

    workspace = Unicode("", help="Directory of the workspace that lines work on; empty: that of the notebook.").tag(
        config=True
    )
    progress = Enum(
        ["auto", "lines", "off"],
        "auto",
        help="How steps are shown: in place, as lines for front ends that do not update outputs, or not at all.",
    ).tag(config=True)
    confirm = Bool(True, help="Ask before dangerous verbs; if not, they refuse without --yes.").tag(config=True)
    _loader: threading.Thread | None = None
    _renewing: Renewing | None = None

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.cells = CellLog(shell)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def mlprod(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Result | None:
        """Run a verb of mlprod: register, deploy, compare, watch and roll back models.

        %mlprod                                        the status
        %mlprod --help                                 every verb in one line
        %mlprod deploy --help                          one verb, with examples
        %mlprod deploy flights@champion
        %mlprod register flights --model $clf --data $X --target $y
        result = %mlprod monitor flights               the result as an object

        A word $name passes the notebook's object of that name; nothing else is expanded. In a cell that starts with
        %%mlprod, the lines below are the version's note, the reason or the A/B test's design. A trailing ; shows
        nothing. After an error, %mlprod why tells more. %config MLProd shows what can be set.
        """
        text = line.strip()
        silent = text.endswith(";")
        try:
            with whole_imports():
                result = self._run(text.removesuffix(";").rstrip(), cell, local_ns, silent=silent)
        except KeyboardInterrupt as stop:
            # Set on the instance, so that front ends still see the class they know.
            said = f"mlprod: interrupted; {stop}." if str(stop) else "mlprod: interrupted."
            stop._render_traceback_ = lambda: [said]  # type: ignore[attr-defined]
            raise
        except MlprodError:
            raise
        except Exception as error:
            told = f"mlprod: {unexpected(error)} More: %mlprod why"
            error._render_traceback_ = lambda: [told]  # type: ignore[attr-defined]
            raise
        return None if silent and not self._is_assigned(line) else result

    def _run(self, text: str, cell: str | None, local_ns: dict[str, Any] | None, *, silent: bool) -> Result:
        """Run a line with what this notebook knows."""
        if self._loader is not None:  # two threads that import the same modules may see one half made
            self._loader.join()
        from mlprod_nb import commands

        door = commands.Door(
            command=f"%mlprod {text}".rstrip(),
            names=self._names(local_ns),
            body=cell,
            notebook=self._notebook,
            confirm=_ask if self.confirm else None,
            workspace=self.workspace,
            progress=self._progress(silent=silent),
        )
        return commands.run(commands.split(text), door)

    @context_matcher(identifier="mlprod", priority=200.0)
    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete verbs, options and variables wherever the magic can stand, ``x = %mlprod …`` too."""
        if context.cursor_line > 0 and _CELL.match(context.full_text):  # a note or a reason is prose
            return SimpleMatcherResult(completions=_Nothing(), suppress=True)
        match = _LINE.fullmatch(context.text_until_cursor.rpartition("\n")[2])
        if match is None:
            return SimpleMatcherResult(completions=[], suppress=False)
        commands = self._grammar()
        if commands is None:
            return SimpleMatcherResult(completions=_Nothing(), suppress=True)
        words, fragment = commands.typed(match["rest"])
        variables = (name for name in self._names(None) if not name.startswith("_"))
        found = commands.complete(words, fragment, variables, self._known(), Path.cwd())[:MATCHES_LIMIT]
        completions = [SimpleCompletion(suggestion.text, type=suggestion.kind) for suggestion in found]
        return SimpleMatcherResult(
            completions=completions or _Nothing(), matched_fragment=fragment, suppress=True, ordered=True
        )

    def after_cell(self, _: ExecutionResult) -> None:
        """Make ready for the next TAB: load the grammar; once TAB was pressed, look whether the names have changed."""
        self._load()
        if self._renewing is not None:
            self._known()

    def _load(self) -> threading.Thread:
        if self._loader is None:
            self._loader = threading.Thread(target=_import_grammar, name="mlprod-grammar", daemon=True)
            self._loader.start()
        return self._loader

    def _grammar(self) -> ModuleType | None:
        """Return the grammar if it is there within the time that a TAB may take; it loads on in the background."""
        self._load().join(_TAB_SECONDS)
        return None if self._load().is_alive() else sys.modules.get("mlprod_nb.commands")

    def _known(self) -> Names:
        """Return the workspace's names as they were a moment ago; none where there is no workspace."""
        from mlprod_nb import settings
        from mlprod_nb.lifecycle.completing import names

        if self._renewing is None:
            self._renewing = names.Renewing()
        try:
            return self._renewing.read(
                settings.Layout(settings.open_root(Path(self.workspace) if self.workspace else None))
            )
        except (Refused, UsageError, OSError):
            return names.Names()

    def end(self) -> None:
        """Leave no process."""
        if self._renewing is not None:
            self._renewing.end()

    def _progress(self, *, silent: bool) -> Shown:
        """Return what shows the steps: the cell's output in a kernel, the last line in a terminal."""
        from mlprod_nb.commands import showing

        if silent or self.progress == "off":
            return showing.Nothing()
        if self.progress == "auto" and hasattr(self.shell, "kernel"):
            return showing.InPlace(showing.CellOutput(self._publisher()))
        stream = sys.stderr
        in_place = self.progress == "auto" and stream.isatty()
        return showing.InPlace(showing.TerminalLine(stream)) if in_place else showing.Lines(stream)

    def _publisher(self) -> Callable[[dict[str, Any], bool], None]:
        """Return what shows MIME bundles in one output of the cell that runs."""
        output = {"display_id": uuid.uuid4().hex}

        def publish(bundle: dict[str, Any], update: bool) -> None:
            self.shell.display_pub.publish(bundle, {}, transient=output, update=update)

        return publish

    def _names(self, local_ns: dict[str, Any] | None) -> Mapping[str, Any]:
        """Return the variables a line can name: the user's own, without what IPython puts there."""
        hidden = self.shell.user_ns_hidden
        own = {name: value for name, value in self.shell.user_ns.items() if name not in hidden}
        return ChainMap(local_ns, own) if local_ns and local_ns is not self.shell.user_ns else own

    def _notebook(self) -> NotebookContext:
        """Return what is known of the notebook: its file, and the cells in the order in which they ran."""
        from mlprod_nb.registry.lineage import NotebookContext
        from mlprod_nb.settings import notebook_path

        # VS Code, and papermill where it is asked to, name the file in the namespace.
        names = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH")
        path = str(next((self.shell.user_ns[name] for name in names if name in self.shell.user_ns), notebook_path()))
        return NotebookContext(path, self.cells.cells(self.shell.history_manager.input_hist_raw))

    def _is_assigned(self, line: str) -> bool:
        """Tell whether the cell keeps the result (``x = %mlprod …;``) rather than showing it."""
        history = self.shell.history_manager.input_hist_parsed
        try:
            tree = ast.parse(history[-1])
        except (IndexError, SyntaxError):
            return False
        calls = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)]
        last = [call.args[-1] for call in calls if isinstance(call, ast.Call) and call.args]
        return any(isinstance(word, ast.Constant) and str(word.value).strip() == line.strip() for word in last)


def _as_ipython_takes_it(lines: list[str]) -> list[str]:
    """Give a ``%%mlprod`` cell that is one line an empty second one, and part ``%mlprod;`` from its semicolon.

    IPython answers such cells itself, by an error of which papermill and nbval keep no message.
    """
    if len(lines) == 1 and _ONE_LINE.fullmatch(lines[0]):
        return [*lines, "\n"]
    return [_SILENT.sub(r"\1 ;\2", line) if _SILENT.fullmatch(line) else line for line in lines]


# While one types in a terminal, an empty line ends a cell: IPython leaves those that have effects out there.
_as_ipython_takes_it.has_side_effects = True  # type: ignore[attr-defined]


def _import_grammar() -> None:
    with suppress(Exception):  # the line that is typed next meets it again, and says it
        from mlprod_nb import commands
        from mlprod_nb.lifecycle.completing import names

        commands.complete([], "", (), names.Names())  # the grammar is read off the façade when it is first asked


def _ask(question: str) -> bool:
    """Ask in the notebook.

    Raises:
        Refused: Nobody is there to answer.
    """
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (StdinNotImplementedError, EOFError):
        raise Refused(f"{question} There is nobody to ask.", hint="Say --yes.") from None
