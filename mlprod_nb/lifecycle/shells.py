"""The script that makes a shell ask for completions."""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.errors import NotFound
from mlprod_nb.results import Result

PROGRAM = "mlprod"
#: Set by the script when the shell asks.
VARIABLE = "_MLPROD_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


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
    return CompletionScript(shell, kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source())
