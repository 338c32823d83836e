"""Heads of requests that were read before: those of one client differ in a length, and in little else.

A connection's parser calls Python for each header, which takes longer than to look the whole head up.

Guarantee: a head is known only where the parser read these very bytes from a message's beginning, found nothing in them
but a request line and headers, each as it is written, and a body of the length that they declare; and where the request
was of the ordinary form. So a message that consists of such a head and a body of that length is read no differently.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Headers = list[tuple[bytes, bytes]]

_LONGEST = 2048
_MOST = 1024
_END = b"\r\n\r\n"
_AUTHORIZATION = b"\r\nauthorization: "


@dataclass(frozen=True, slots=True)
class Head:
    """What a known head says.

    Attributes:
        url: The target.
        endpoint: The endpoint that it names.
        length: How long the body is, bytes.
        begin: Where the value of ``Authorization`` begins.
        end: Where it ends.
    """

    url: bytes
    endpoint: str
    length: int
    begin: int
    end: int


class Heads:
    """Knows heads by their digests, so that no token stays in memory."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._known)

    def find(self, data: bytes) -> tuple[int, Head] | None:
        """Return where the body of a message begins and what its head says, where it is whole and its head known."""
        end = data.find(_END, 0, _LONGEST)
        if end < 0:
            return None
        begin = end + len(_END)
        head = self._known.get(_key(data[:begin]))
        return (begin, head) if head is not None and len(data) == begin + head.length else None

    def learn(self, data: bytes, endpoint: str, url: bytes, headers: Headers, length: int) -> None:
        """Remember the head of a POST that the parser has read, and that ended with the data.

        Args:
            data: What the parser was given, beginning with the message.
            endpoint: The endpoint that the request is for.
            url: What the parser says the target is.
            headers: What it says the headers are, their names in lower case.
            length: How long it says the body is, bytes.
        """
        head = data[: len(data) - length]
        if len(head) > _LONGEST or not _is_written_so(head, url, headers):
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        begin = end = 0
        if _AUTHORIZATION in head.lower():
            begin = head.lower().index(_AUTHORIZATION) + len(_AUTHORIZATION)
            end = head.index(b"\r\n", begin)
        self._known[_key(head)] = Head(url, endpoint, length, begin, end)


def headers_of(head: bytes) -> Headers:
    """Return the headers of a head that is known, their names in lower case."""
    found = []
    for line in head[: -len(_END)].split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        found.append((name.lower(), value))
    return found


def _is_written_so(head: bytes, url: bytes, headers: Headers) -> bool:
    line = b"POST %b HTTP/1.1\r\n" % url
    return head.startswith(line) and head.find(_END) == len(head) - len(_END) and headers_of(head) == headers


def _key(head: bytes) -> bytes:
    return hashlib.sha256(head).digest()
