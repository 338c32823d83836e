"""The grammar: the façade's signatures as click commands, so that the words cannot drift from the methods.

Positional parameters become arguments, keyword parameters options, booleans flags, and the docstring becomes the help.
Parsing a line gives a :class:`Call`, which nothing has run yet, or a :class:`Page` of help.
"""

from __future__ import annotations

import functools
import inspect
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

import mlprod_nb
from mlprod_nb.commands import sending
from mlprod_nb.commands.door import Door
from mlprod_nb.commands.parameters import Number, Object, ParamType, Text, Whole, read_column, read_model, spelling
from mlprod_nb.commands.verbs import LISTED, NOUNS, Verb, spelled, verbs
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import Result

PROGRAM = "mlprod"
_SETTINGS = {"max_content_width": 100, "terminal_width": 100}
#: A line to type, in a page of help: below `Examples:`, or how a verb is used.
_TYPED = re.compile(r"^(Usage: |  )mlprod (?=[a-z\[])", re.MULTILINE)
_READERS = {"model": read_model, "ids": read_column, "values": read_column}


@dataclass(frozen=True)
class Page(Result):
    """A page of help.

    Attributes:
        text: What it says.
    """

    text: str

    def headline(self) -> str:
        """Return the page itself."""
        return self.text

    def sections(self) -> tuple[()]:
        """Show nothing besides."""
        return ()

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.text)}</pre>"

    def _repr_markdown_(self) -> str:
        return "\n".join(f"    {line}".rstrip() for line in self.text.splitlines())


@dataclass(frozen=True)
class Call:
    """A line that was understood: which method to call, with what.

    Attributes:
        verb: The verb.
        arguments: The method's positional arguments.
        options: The method's keyword arguments.
    """

    verb: Verb
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class _Shown(Exception):
    def __init__(self, text: str, door: Door | None = None) -> None:
        cell = door is not None and door.names is not None
        self.page = Page(_TYPED.sub(r"\1%mlprod ", text) if cell else text)


def split(line: str) -> list[str]:
    """Split a line into words as a shell does; quotes group, nothing is expanded or evaluated.

    Raises:
        UsageError: A quote is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(
            f"a quote is not closed in: {line.strip()}.", hint='Write it like --reason "it\'s late".'
        ) from None


def parse(words: Sequence[str], door: Door) -> Call | Page:
    """Understand a command line; call nothing.

    Raises:
        UsageError: The line is wrong; the message names the nearest right verb, option or variable.
    """
    try:
        called = grammar().main(list(words), prog_name=PROGRAM, standalone_mode=False, obj=door)
    except _Shown as shown:
        return shown.page
    except click.ClickException as error:
        raise _usage_error(error, words) from None
    assert isinstance(called, Call)
    return _with_body(called, door)


@functools.cache
def grammar() -> click.Group:
    """Return the click group with every verb."""
    root = _Noun(
        PROGRAM, help="The notebook as the control room of a machine learning production environment.", root=True
    )
    for verb in verbs().values():
        noun, _, rest = verb.name.rpartition(" ")
        if verb.name in NOUNS:  # a verb that is a noun of further verbs, too
            root.add_command(_Noun(rest, help=NOUNS[rest], own=_VerbCommand(rest, verb)))
            continue
        if noun and noun not in root.commands:
            root.add_command(_Noun(noun, help=NOUNS[noun]))
        group = root.commands[noun] if noun else root
        assert isinstance(group, click.Group)
        group.add_command(_VerbCommand(rest, verb))
    return root


class _HelpOption(click.Option):
    def __init__(self) -> None:
        super().__init__(
            ["--help"], is_flag=True, is_eager=True, expose_value=False, help="Show this page.", callback=_show_help
        )


class _VerbCommand(click.Command):
    def __init__(self, name: str, verb: Verb) -> None:
        self.verb = verb
        params = [_parameter(parameter, verb) for parameter in verb.parameters]
        super().__init__(name, params=params, help=verb.explanation.summary, context_settings=dict(_SETTINGS))
        self._help = _HelpOption()

    def get_help_option(self, ctx: click.Context) -> click.Option:  # noqa: ARG002 (click's signature)
        return self._help

    def invoke(self, ctx: click.Context) -> Call:
        arguments: list[Any] = []
        options = {}
        for parameter in self.verb.parameters:
            value = ctx.params[parameter.name]
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                options[parameter.name] = value
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                arguments.extend(value)
            else:
                arguments.append(value)
        return Call(self.verb, tuple(arguments), options)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        explained = self.verb.explanation
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(explained.summary)
        if explained.description:
            formatter.write_paragraph()
            formatter.write_text(explained.description)
        arguments = [p for p in self.params if isinstance(p, click.Argument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([(spelling(p), explained.parameters.get(p.name or "", "")) for p in arguments])
        self.format_options(ctx, formatter)
        further = [verb for name, verb in verbs().items() if name.startswith(f"{self.verb.name} ")]
        if further:
            with formatter.section("Verbs"):
                formatter.write_dl([(verb.name, verb.explanation.summary) for verb in further])
        if self.verb.name in sending.LONG:
            formatter.write_paragraph()
            formatter.write_text(sending.HELP)
        with formatter.section("Examples"):
            for example in explained.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class _Noun(click.Group):
    def __init__(
        self,
        name: str,
        *,
        help: str,  # noqa: A002 (click's word)
        root: bool = False,
        own: _VerbCommand | None = None,
    ) -> None:
        super().__init__(name, help=help, invoke_without_command=True, context_settings=dict(_SETTINGS))
        self._root = root
        self.own = own
        self.callback = self._alone
        self._help = _HelpOption()
        if root:
            show = click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                help="Show the version.",
                callback=_show_version,
            )
            self.params.append(show)

    def get_help_option(self, ctx: click.Context) -> click.Option:  # noqa: ARG002 (click's signature)
        return self._help

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args[0] not in self.commands:
            prefix = "" if self._root else f"{self.name} "
            known = [name for name in verbs() if name.startswith(prefix)]
            raise NotFound("verb", prefix + args[0], known, hint=f"See: {PROGRAM} --help")
        found = self.commands.get(args[0])
        if isinstance(found, _Noun) and found.own is not None and not (args[1:] and args[1] in found.commands):
            return args[0], found.own, args[1:]
        return super().resolve_command(ctx, args)

    def _alone(self) -> Call | None:
        """Answer a line that ends here, without a verb: click calls this before every verb too."""
        if click.get_current_context().invoked_subcommand is not None:
            return None
        if self._root:
            return Call(verbs()["status"], (), {})
        if self.name in LISTED:
            return Call(verbs()[f"{self.name} list"], (), {})
        known = ", ".join(f"{self.name} {name}" for name in self.commands)
        raise UsageError(f"{self.name} needs a verb after it.", hint=f"There is: {known}.")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        with formatter.section("Verbs"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        if not self._root:
            return
        formatter.write_paragraph()
        formatter.write_text(
            "Alone, it shows the status. In a notebook write %mlprod before the verb; $name passes the notebook's "
            "object of that name. In a shell, --json prints the result as JSON. Every verb has --help with examples."
        )


def _parameter(parameter: inspect.Parameter, verb: Verb) -> click.Parameter:
    """Return a façade's parameter as click's argument or option."""
    kind = _kind(parameter)
    required = parameter.default is inspect.Parameter.empty
    default = {} if required else {"default": parameter.default}
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        if many:
            return click.Argument([parameter.name], type=kind, nargs=-1, required=True)
        return click.Argument([parameter.name], type=kind, required=required, **default)
    text = verb.explanation.parameters.get(parameter.name, "")
    if verb.body == parameter.name:
        text = f"{text.rstrip('.')}; - reads standard input."
    flag = f"--{spelled(parameter.name)}"
    if parameter.annotation == "bool":
        return click.Option([flag, parameter.name], is_flag=True, default=bool(parameter.default), help=text)
    return click.Option(
        [flag, parameter.name],
        type=kind,
        required=required,
        show_default=not required and bool(parameter.default),
        help=text,
        **default,
    )


def _kind(parameter: inspect.Parameter) -> ParamType:
    if parameter.annotation == "Any":
        return Object(_READERS.get(parameter.name))
    return {"int": Whole, "float": Number}.get(parameter.annotation, Text)()


def _with_body(call: Call, door: Door) -> Call:
    """Give the cell's body, or standard input, to the option that takes it."""
    option = call.verb.body
    body = (door.body or "").strip()
    if body and not option:
        raise UsageError(
            f"{call.verb.name} takes nothing from the cell's body.", hint=f"Write %mlprod {call.verb.name} in one line."
        )
    if door.body is not None and option and not body and not call.options[option]:
        hint = f"Write its {option} below the line, or %mlprod {call.verb.name} with a single %."
        raise UsageError(f"the body of the cell %%mlprod {call.verb.name} is empty.", hint=hint)
    if body and call.options[option]:
        raise UsageError(f"{call.verb.name} was given its {option} twice.", hint=f"Drop --{option} or the cell's body.")
    if option and call.options[option] == "-":
        body = door.read_input().strip()
        return Call(call.verb, call.arguments, {**call.options, option: body})
    return Call(call.verb, call.arguments, {**call.options, option: body}) if body else call


def _show_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001 (click's signature)
    if value and not ctx.resilient_parsing:
        raise _Shown(ctx.get_help(), ctx.find_object(Door))


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001 (click's signature)
    if value and not ctx.resilient_parsing:
        raise _Shown(f"mlprod_nb {mlprod_nb.__version__}")


def _usage_error(error: click.ClickException, words: Sequence[str]) -> UsageError:
    """Turn click's error into one line of ours."""
    verb = verbs().get(" ".join(words[:2])) or verbs().get(" ".join(words[:1]))
    where = verb.name if verb else PROGRAM
    example = f"For example: {verb.explanation.examples[0]}" if verb else ""
    ctx = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        options = [param for param in ctx.command.get_params(ctx) if isinstance(param, click.Option)]
        known = [name for option in options for name in option.opts]
        known += [sending.FLAG] if where in sending.LONG else []
        return NotFound(f"option of {where}", error.option_name, known)
    if isinstance(error, click.MissingParameter):
        return UsageError(f"{where} needs {spelling(error.param)}.", hint=example)
    message = error.format_message().rstrip(".")
    return UsageError(f"{where}: {message[:1].lower()}{message[1:]}.", hint=example)
