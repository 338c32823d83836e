"""A façade that runs nothing: it checks every call against the real signature and remembers it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from mlprod_nb import workspace
from mlprod_nb.results import Result, Verdict


@dataclass(frozen=True)
class Called(Result):
    """What a fake verb returns."""

    verdict: Verdict
    verb: str
    arguments: dict[str, Any]


class FakeWorkspace:
    """Stands in for the façade; subclasses may set what a verb raises or concludes."""

    raises: ClassVar[BaseException | None] = None
    status_of_all: ClassVar[Any] = "ok"
    callers: ClassVar[list[Any]] = []
    starts: ClassVar[list[Any]] = []

    @classmethod
    def open(cls, start: Any = None, *, caller: Any = None) -> FakeWorkspace:
        cls.callers.append(caller)
        cls.starts.append(start)
        return cls()

    @classmethod
    def init(cls, *arguments: Any, **options: Any) -> Result:
        return cls._call("init", inspect.signature(workspace.Workspace.init), arguments, options)

    @classmethod
    def verdict(cls, *arguments: Any, **options: Any) -> Result:
        return cls._call("verdict", inspect.signature(workspace.Workspace.verdict), arguments, options)

    @classmethod
    def notebook(cls, *arguments: Any, **options: Any) -> Result:
        return cls._call("notebook", inspect.signature(workspace.Workspace.notebook), arguments, options)

    @classmethod
    def completion(cls, *arguments: Any, **options: Any) -> Result:
        return cls._call("completion", inspect.signature(workspace.Workspace.completion), arguments, options)

    def __getattr__(self, name: str) -> Callable[..., Result]:
        signature = inspect.signature(getattr(workspace.Workspace(root=None), name))  # type: ignore[arg-type]
        return lambda *arguments, **options: self._call(name, signature, arguments, options)

    @classmethod
    def _call(cls, name: str, signature: inspect.Signature, arguments: Any, options: Any) -> Result:
        bound = signature.bind(*arguments, **options)
        if cls.raises is not None:
            raise cls.raises
        return Called(Verdict(cls.status_of_all, f"{name} was called."), name, dict(bound.arguments))
