"""Parameters: what a notebook declares in its parameters cell, and whether values fit.

The cell tagged ``parameters`` holds plain assignments, as papermill has it. A type is an annotation or a ``# type:``
comment, otherwise that of the default. The cell is read as Python's own syntax tree and never run; papermill's own
inspection reads it line by line and gives up on a default that contains an equals sign.
"""

from __future__ import annotations

import ast
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlprod_nb.errors import InvalidInput, NotFound, Refused, UsageError
from mlprod_nb.notebooks.files import Notebook

_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "List": (list,),
    "dict": (dict,),
    "Dict": (dict,),
    "None": (type(None),),
}
_ANYTHING = {"Any", "object"}
_SECRET_WORDS = {"password", "passwd", "passphrase", "pwd", "token", "secret", "apikey", "credential", "credentials"}
_SECRET_VALUE = re.compile(r"\bmlp_|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@")


@dataclass(frozen=True)
class Parameter:
    """One parameter that a notebook declares.

    Attributes:
        name: Its name.
        annotation: Its type as written, or that of its default; empty where neither says.
        required: Whether the cell gives it no value.
    """

    name: str
    annotation: str
    required: bool


def declared(notebook: Notebook) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares, in their order; none where it has no parameters cell.

    Raises:
        InvalidInput: The parameters cell is not valid Python.
    """
    cells = [cell for cell in notebook["cells"] if "parameters" in cell.get("metadata", {}).get("tags", ())]
    if not cells:
        return {}
    try:
        tree = ast.parse(cells[0]["source"], type_comments=True)
    except SyntaxError as error:
        raise InvalidInput(f"the parameters cell is not valid Python: {error.msg} (line {error.lineno}).") from None
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, annotation = statement.target.id, _unquoted(statement.annotation)
            found[name] = Parameter(name, annotation, required=statement.value is None)
        elif isinstance(statement, ast.Assign):
            annotation = statement.type_comment or _type_of(statement.value)
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = Parameter(target.id, annotation, required=False)
    return found


def default(notebook: Notebook, name: str) -> Any:
    """Return a parameter's default where it is a plain value, otherwise ``None``."""
    for cell in notebook["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            for line in ast.parse(cell["source"]).body:
                target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
                value = getattr(line, "value", None)
                if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Constant):
                    return value.value
    return None


def parse(text: str, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read parameters as they are typed: ``top=5 column=dest``; quotes as in a shell keep spaces.

    A value is JSON, or the text itself where it is not, or where the notebook declares a text.

    Raises:
        UsageError: A word is no assignment, a quote is not closed, or a name comes twice.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise UsageError(f"a quote is not closed in the parameters: {text.strip()}") from None
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.rstrip(",").partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{word!r} is no parameter.", hint="Write NAME=VALUE, as in: top=5 column=dest")
        if name in found:
            raise UsageError(f"parameter {name!r} is given twice.")
        found[name] = value if name in known and known[name].annotation == "str" else _json(value)
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def check(parameters: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    """Check values against the declared parameters.

    Raises:
        NotFound: A parameter is not declared; names the nearest that is.
        UsageError: A required parameter is missing, or a value does not fit its type or cannot be passed.
        Refused: A name or value looks like a secret; a notebook keeps its parameters in plain text.
    """
    for name, value in parameters.items():
        if name not in known:
            hint = "" if known else "The notebook has no cell tagged 'parameters'."
            raise NotFound("parameter", name, known, hint=hint)
        _refuse_secrets(name, value)
        if not _passable(value):
            raise UsageError(
                f"parameter {name!r} is a {type(value).__name__}, which a notebook cannot be given.",
                hint="Pass text, a number, yes/no, or lists and dictionaries of these.",
            )
        annotation = known[name].annotation
        if annotation and not _fits(value, _parsed(annotation, name), name):
            raise UsageError(f"parameter {name!r} must be {annotation}, not {type(value).__name__} {value!r}.")
    missing = [p.name for p in known.values() if p.required and p.name not in parameters]
    if missing:
        raise UsageError(f"parameter {missing[0]!r} has no default and needs a value.")


def _refuse_secrets(name: str, value: Any) -> None:
    words = set(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_"))
    secret_name = bool(words & _SECRET_WORDS) or {"api", "key"} <= words or {"private", "key"} <= words
    if secret_name or any(_SECRET_VALUE.search(text) for text in _texts(value)):
        raise Refused(
            f"parameter {name!r} looks like a secret, and a notebook keeps its parameters in plain text.",
            hint="Let the notebook read it from the workspace instead.",
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in (*value, *value.values()) for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []


def _passable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_passable(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _passable(item) for key, item in value.items())
    return value is None or type(value) in (str, int, bool)


def _unquoted(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _type_of(default: ast.expr) -> str:
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return ""
    return type(value).__name__ if type(value).__name__ in _PLAIN else ""


def _parsed(annotation: str, name: str) -> ast.expr:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        raise _unknown(annotation, name) from None


def _unknown(annotation: str, name: str) -> InvalidInput:
    return InvalidInput(
        f"parameter {name!r} has the type {annotation!r}, which cannot be checked.",
        hint="Use str, int, float, bool, list[…], dict[str, …], Literal[…], or several joined by |.",
    )


def _fits(value: Any, annotation: ast.expr, name: str) -> bool:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _fits(value, annotation.left, name) or _fits(value, annotation.right, name)
    if isinstance(annotation, ast.Subscript):
        return _fits_generic(value, annotation, name)
    plain = ast.unparse(annotation).removeprefix("typing.")
    if plain in _ANYTHING:
        return True
    if plain not in _PLAIN:
        raise _unknown(plain, name)
    if isinstance(value, bool):
        return plain == "bool"
    return isinstance(value, _PLAIN[plain])


def _fits_generic(value: Any, annotation: ast.Subscript, name: str) -> bool:
    outer = ast.unparse(annotation.value).removeprefix("typing.")
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if outer in ("list", "List"):
        return isinstance(value, list) and all(_fits(item, inner[0], name) for item in value)
    if outer in ("dict", "Dict"):
        return isinstance(value, dict) and all(_fits(item, inner[-1], name) for item in value.values())
    if outer == "Optional":
        return value is None or _fits(value, inner[0], name)
    if outer == "Union":
        return any(_fits(value, option, name) for option in inner)
    if outer == "Literal":
        choices = [ast.literal_eval(option) for option in inner]
        return any(value == choice and type(value) is type(choice) for choice in choices)
    raise _unknown(ast.unparse(annotation), name)
