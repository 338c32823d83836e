"""The process that reads workspaces for the Jupyter server, as the server sees it.

It is asked by one line of JSON and answers by one. What a workspace needs is imported there, and what hangs there, or
ends it, the server outlives: it is killed at the deadline and started anew for the next question. It ends with the
server, whose end closes its standard input, and after a while without a question.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mlprod_nb.errors import Unavailable

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "mlprod_nb.lab")
_LONGEST_ANSWER = 32 * 2**20


class Reader:
    """A process that is started when it is first asked.

    Args:
        command: Its command line.
        answer_seconds: How long an answer may take.
        idle_seconds: How long it stays when nobody asks.
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, *, answer_seconds: float = 20.0, idle_seconds: float = 300.0
    ) -> None:
        self._command = command
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now, or ``None``."""
        return self._process.pid if self._process is not None else None

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a question; questions are answered one after the other.

        Raises:
            Unavailable: There was none in time, or the process ended over it.
        """
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            try:
                answer = await asyncio.wait_for(self._exchange(question), self._answer_seconds)
            except TimeoutError:
                await self.end()
                raise Unavailable(f"the workspace was not read within {self._answer_seconds:g} s.") from None
            except BaseException:  # whoever asked has gone: a late answer must not meet the next question
                await self.end()
                raise
            self._rest = asyncio.get_running_loop().call_later(self._idle_seconds, self._let_go)
            return answer

    async def end(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _exchange(self, question: dict[str, Any]) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise Unavailable("the process that reads workspaces ended.", hint="The server's log says why.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, limit=_LONGEST_ANSWER, start_new_session=True
            )
        return self._process

    def _let_go(self) -> None:
        """Close the process's input, at which it ends by itself."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
