"""What every table of the settings is: a frozen dataclass, whose fields say what each key may hold.

No package that checks models does this: to import one takes longer than all else that most verbs need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

HIDDEN = "**********"
_ABOUT = "about"


@dataclass(frozen=True)
class Secret:
    """A text that neither a representation nor a dictionary of the settings shows."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Rule:
    """What holds for a key beside its kind.

    Attributes:
        about: What it is, in a sentence.
        bounds: Of each number in it: ``gt``, ``ge``, ``lt``, ``le``.
        check: Raises ``ValueError`` for a value of the right kind that will not do all the same.
        split: Whether a text stands for the list of its words.
    """

    about: str = ""
    bounds: dict[str, float] = field(default_factory=dict)
    check: Callable[[Any], None] | None = None
    split: bool = False


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes:
        kind: What it holds: a type, which may be a table.
        default: What it is where nothing is said.
        rule: What holds for it beside.
    """

    kind: Any
    default: Any
    rule: Rule


@dataclass(frozen=True)
class Table:
    """One table: an unknown key is refused, and nothing changes after it was read."""

    #: The field that takes the tables below it that have a name of their own; empty: there may be none.
    others: ClassVar[str] = ""

    def check(self) -> None:
        """See whether the keys fit together.

        Raises:
            ValueError: They do not.
        """

    def to_dict(self, *, secrets: bool = False) -> dict[str, Any]:
        """Return what JSON can hold, as the file would have it.

        Args:
            secrets: Tell them, too, for a process that needs them; else they are hidden.
        """
        made = {one.name: _plain(getattr(self, one.name), secrets) for one in fields(self)}
        return made | (made.pop(self.others) if self.others else {})


def key(
    default: Any,
    about: str,
    *,
    check: Callable[[Any], None] | None = None,
    split: bool = False,
    **bounds: float,
) -> Any:
    """Return the field of a key; ``dict`` as its default is an empty table. :class:`Rule` says what the words mean."""
    metadata = {_ABOUT: Rule(about, bounds, check, split)}
    if default is dict:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def keys_of(table: type[Table]) -> dict[str, Key]:
    """Return the keys of a table by their names."""
    kinds = get_type_hints(table)
    return {
        one.name: Key(
            kinds[one.name],
            one.default if one.default_factory is MISSING else one.default_factory(),
            one.metadata.get(_ABOUT, Rule()),
        )
        for one in fields(table)
        if one.name != table.others
    }


def _plain(value: Any, secrets: bool) -> Any:
    if isinstance(value, Table):
        return value.to_dict(secrets=secrets)
    if isinstance(value, dict):
        return {name: _plain(of, secrets) for name, of in value.items()}
    if isinstance(value, tuple):
        return [_plain(of, secrets) for of in value]
    if isinstance(value, Secret):
        return value.value if secrets else HIDDEN
    return value
