"""What processes that nobody watches say: one JSON document a line, with the request's id where there is one.

The members follow OpenTelemetry's log data model where it has a name for them: ``timestamp``, ``severity``, ``body``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; what an error was caused by is in ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        exception = self.formatException(record.exc_info) if record.exc_info else ""
        return line(
            record.levelname, record.name, record.getMessage(), request_id=_request_id.get(), exception=exception
        )


def configure(level: str) -> None:
    """Send this process's records to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)


def line(severity: str, logger: str, body: str, **members: str) -> str:
    """Return one line without its end; members that are empty are left out."""
    document: dict[str, Any] = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "severity": severity,
        "logger": logger,
        "process": os.getpid(),
        "body": body,
        **{name: value for name, value in members.items() if value},
    }
    return json.dumps(document, ensure_ascii=False)


def read(text: str) -> str:
    """Return what a line says: its ``body``, or all of one that another program wrote."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    return str(document["body"]) if isinstance(document, dict) and "body" in document else text


@contextmanager
def about(request_id: str) -> Iterator[None]:
    """Let what is said inside name a request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)
