"""Keeping MLflow's own words out of a user's notebook: only our results and our errors are shown."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator

from mlprod_nb.errors import MlprodError, Unavailable

_LOGGERS = ("mlflow", "alembic")
# What is muted belongs to the process; two threads that mute at once would restore it in the wrong order.
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Mute MLflow's logging, prints, progress bars and warnings inside the block; all is as before after it.

    Threads take turns; blocks may be nested.
    """
    with _ONE_AT_A_TIME, _muted():
        yield


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Mute MLflow and turn its errors into ours; an address is not shown, since it may hold a password.

    Raises:
        Unavailable: The registry does not answer, or fails.
    """
    with quiet():
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except MlprodError:
            raise
        except (MlflowException, SQLAlchemyError) as error:
            told = getattr(error, "orig", None) or error
            hint = "Check [registry] tracking_uri in mlprod.toml."
            raise Unavailable(f"the MLflow registry fails: {one_line(told).rstrip('.')}.", hint=hint) from None


def one_line(error: Exception) -> str:
    """Return an error's words in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR as PROGRESS_BAR

    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    disabled = _disabled()
    bar = PROGRESS_BAR.get_raw()
    PROGRESS_BAR.set(False)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            PROGRESS_BAR.unset() if bar is None else PROGRESS_BAR.set(bar)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            for name in _disabled() - disabled:  # by alembic's logging configuration
                logging.getLogger(name).disabled = False


def _disabled() -> set[str]:
    return {
        name
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and logger.disabled
    }
