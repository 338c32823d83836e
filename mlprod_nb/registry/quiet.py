"""Keeping MLflow's own words out of a user's notebook: only our result is shown."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator

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
