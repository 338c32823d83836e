"""The script that makes a shell ask for completions."""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.errors import NotFound
from mlprod_nb.results import Result

PROGRAM = "mlprod"
#: Set by the script when the shell asks.
VARIABLE = "_MLPROD_COMPLETE"
SHELLS = ("bash", "zsh", "fish")

#: bash begins a word anew at each of its breaks, "@" and "=" among them, and puts there what it is given: so the line
#: is handed over as it was typed, and of each answer only what follows the last break is given, an "@" included.
_BASH = """\
_mlprod_completion() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} response word kept value
    response=$(env COMP_WORDS="$line" _MLPROD_COMPLETE=bash_complete "$1")
    word=${line##*[[:space:]]}
    kept=${word%"${word##*[$COMP_WORDBREAKS]}"}
    kept=${kept%@}
    COMPREPLY=()
    for value in $response; do
        value=${value#plain,}
        COMPREPLY+=("${value#"$kept"}")
    done
    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[@=/] ]] && compopt -o nospace
    return 0
}
complete -o nosort -F _mlprod_completion mlprod
"""


@dataclass(frozen=True)
class CompletionScript(Result):
    """A shell's script.

    Attributes:
        shell: The shell.
        script: The script.
    """

    shell: str
    script: str

    def headline(self) -> str:
        """Return the script itself, to be read by the shell."""
        return self.script

    def sections(self) -> tuple[()]:
        """Show nothing besides."""
        return ()


def script(shell: str) -> CompletionScript:
    """Return a shell's script.

    Raises:
        NotFound: The shell is another.
    """
    import click
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise NotFound("completion for the shell", shell, SHELLS)
    if shell == "bash":
        return CompletionScript(shell, _BASH)
    return CompletionScript(shell, kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source())
