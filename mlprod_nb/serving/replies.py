"""Replies in JSON."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response


def json_reply(data: Any, status: int = 200) -> Response:
    """Return a reply; numbers and arrays of numpy may be in it."""
    return Response(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")
