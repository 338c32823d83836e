"""Errors as MLflow's callers meet them: one line in a shell, MLflow's exception in a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from mlprod_nb.errors import (
    AccessDenied,
    InvalidInput,
    MlprodError,
    NotFound,
    Refused,
    Unavailable,
    UsageError,
    unexpected,
)

#: The errors of a verb, by the names that MLflow has for them; the first that fits counts.
_CODES: tuple[tuple[type[MlprodError], str], ...] = (
    (NotFound, "RESOURCE_DOES_NOT_EXIST"),
    (UsageError, "INVALID_PARAMETER_VALUE"),
    (InvalidInput, "INVALID_PARAMETER_VALUE"),
    (AccessDenied, "PERMISSION_DENIED"),
    (Refused, "INVALID_STATE"),
    (Unavailable, "TEMPORARILY_UNAVAILABLE"),
)


class DeploymentFailed(MlflowException, click.ClickException):
    """A call of MLflow's failed.

    MLflow's command line shows its own exceptions with their traceback, and click's as one line; so this is both.

    Args:
        error: What a verb raised.
    """

    def __init__(self, error: MlprodError) -> None:
        MlflowException.__init__(self, str(error), error_code=_code(error))
        self.exit_code = error.exit_code  # type: ignore[misc]  # click has one for the whole class
        self._in_a_notebook = error._render_traceback_()

    def _render_traceback_(self) -> list[str]:
        return self._in_a_notebook


@contextmanager
def told() -> Iterator[None]:
    """Let every error be one line, as at the other doors."""
    try:
        yield
    except MlprodError as error:
        raise DeploymentFailed(error) from None
    except Exception as error:
        raise DeploymentFailed(MlprodError(unexpected(error))) from error


def _code(error: MlprodError) -> int:
    number: int = ErrorCode.Value(next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL_ERROR"))
    return number
