"""What is noted of models that are being loaded, so that one which ends its process is not loaded again and again."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.registry.bundles import Bundle

_PATIENCE_SECONDS = 1.0
_LOOK_SECONDS = 0.02
_COMMAND = (sys.executable, "-m", "mlprod_nb.serving.models.trial")


class LoadingNotes:
    """Notes, each a file, of the models that a gateway's workers load in their own processes.

    Guarantee: a model whose loading ended a worker is not loaded in one again, before a process of its own has
    loaded it and ended well. A note that was left by a worker which was killed meanwhile costs one such trial.

    Args:
        folder: Where the notes are; made where it does not exist.
        worker: The worker's name among all.
        command: Starts a trial; the bundle's folder and the seconds that it has follow.
    """

    def __init__(self, folder: Path, worker: str, command: Sequence[str] = _COMMAND) -> None:
        self._folder = folder
        self._worker = worker
        self._command = command

    @asynccontextmanager
    async def note(self, bundle: Bundle, seconds: float) -> AsyncIterator[None]:
        """Note that a model is being loaded until this ends; try it first, where another note is there.

        Args:
            bundle: The model's bundle.
            seconds: How long a trial may take.

        Raises:
            ExecutionFailed: The trial was ended by the model.
        """
        mine = self._folder / f"{bundle.digest}.{self._worker}"
        left = await self._left(bundle)
        if left:
            await self._try(bundle, seconds)
            for other in left:
                other.unlink(missing_ok=True)
        with suppress(OSError):  # on a full disk a model is loaded all the same
            self._folder.mkdir(parents=True, exist_ok=True)
            mine.touch()
        try:
            yield
        finally:
            mine.unlink(missing_ok=True)

    async def _left(self, bundle: Bundle) -> list[Path]:
        """Return the notes of a model that do not go away as those of a worker do that is just loading it."""
        looks = math.ceil(_PATIENCE_SECONDS / _LOOK_SECONDS)
        for _ in range(looks):
            if not (found := list(self._folder.glob(f"{bundle.digest}.*"))):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    async def _try(self, bundle: Bundle, seconds: float) -> None:
        nothing = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *self._command, str(bundle.path), str(seconds), stdin=nothing, stdout=nothing, stderr=nothing
        )
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            raise ExecutionFailed(f"a trial process did not load it and answer within {seconds:g} s.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code < 0:
            raise ExecutionFailed(f"a trial process was ended by {signal.Signals(-code).name} while it loaded it.")
