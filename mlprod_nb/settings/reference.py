"""The page ``docs/settings.md``: every key of ``mlprod.toml``, written from the tables that read the file.

So no key can be without its line, and no line without its key. ``make verbs`` writes the page anew.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from mlprod_nb.settings.base import Key, Table, keys_of
from mlprod_nb.settings.tables import Settings

_OPENING = """\
# Settings

Every key of `mlprod.toml`, with its value where nothing is said. `mlprod init` makes the file; an empty one will do. A
key or a word that does not exist is refused, with the nearest that does.

An environment variable wins over the file: `MLPROD_GATEWAY__WORKERS=2` is `workers = 2` in `[gateway]`.
`MLPROD_WORKSPACE` says where the workspace is. The gateway and the scheduler read their settings when they start."""
#: The guide that tells what the keys of a table are for.
_GUIDES = {
    "gateway": "operating-the-gateway.md",
    "ray": "ray.md",
    "store": "operating-the-gateway.md",
    "reports": "writing-a-report.md",
    "model_worker": "operating-the-gateway.md",
    "log": "prediction-log.md",
    "alerts": "monitoring-alerts.md",
    "scheduler": "scheduling.md",
    "retraining": "retraining.md",
    "endpoints.NAME": "operating-the-gateway.md",
    "endpoints.NAME.monitor": "monitoring.md",
    "models.NAME": "continuous-delivery.md",
    "models.NAME.protected.ALIAS": "reading-a-report.md",
    "models.NAME.gates": "gates.md",
    "models.NAME.release": "releasing.md",
}
#: What stands for a name of the user's in the head of a table.
_NAMED = {"protected": "ALIAS"}


def page() -> str:
    """Return the page."""
    parts = [_OPENING]
    for name, table in tables():
        guide = f" See [the guide]({_GUIDES[name]})." if name in _GUIDES else ""
        parts.append(f"## {f'[{name}]' if name else 'At the top of the file'}")
        parts.append(f"{_about(table)}{guide}")
        rows = [_row(key, held) for key, held in keys(table).items()]
        parts += ["\n".join(["| key | default | what it is |", "|---|---|---|", *rows])] if rows else []
    return "\n\n".join(parts) + "\n"


def tables() -> Iterator[tuple[str, type[Table]]]:
    """Yield each table of the file with its name, as ``endpoints.NAME.monitor``; the file itself first, without one."""
    yield from _below("", Settings)


def keys(table: type[Table]) -> dict[str, Key]:
    """Return the keys of a table that hold values, not further tables."""
    return {name: key for name, key in keys_of(table).items() if _table_below(key) is None}


def _below(name: str, table: type[Table]) -> Iterator[tuple[str, type[Table]]]:
    yield name, table
    for key, held in keys_of(table).items():
        found = _table_below(held)
        if found is not None:
            named = f".{_NAMED.get(key, 'NAME')}" if get_origin(held.kind) is dict else ""
            yield from _below(f"{name}.{key}{named}".lstrip("."), found)


def _table_below(key: Key) -> type[Table] | None:
    """Return the table that a key holds, or holds by name; ``None`` where it holds a value."""
    kinds = [key.kind, *get_args(key.kind)]
    return next((kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, Table)), None)


def _about(table: type[Table]) -> str:
    """Return what a table is about, in a sentence: the first line of its docstring, without its head."""
    line = (inspect.getdoc(table) or "").partition("\n")[0]
    text = line.partition("``: ")[2] or line
    return f"{text[:1].upper()}{text[1:]}"


def _row(name: str, key: Key) -> str:
    return f"| `{name}` | `{_toml(key.default)}` | {_said(key)} |"


def _said(key: Key) -> str:
    words = get_args(key.kind) if get_origin(key.kind) is Literal else ()
    choice = f" One of {', '.join(f'`{_toml(word)}`' for word in words)}." if words else ""
    return f"{key.rule.about}{choice}".replace("|", "\\|")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{}" if not value else f"{{ {', '.join(f'{key} = {_toml(of)}' for key, of in value.items())} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
