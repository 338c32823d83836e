"""``python -m mlprod_nb.task FOLDER``: a task in the background: run one line, write its result."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from mlprod_nb import commands
from mlprod_nb.commands.showing import Lines
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import background

_FAILED = 3
_INTERRUPTED = 130


def main(folder: Path) -> int:
    """Run the task's line; return its exit code."""
    # A shell that starts processes in the background lets them ignore interrupts; this one must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with background.running(folder) as facts:
        try:
            door = commands.Door(command=facts["command"], progress=Lines(sys.stdout))
            result = commands.run(facts["words"], door)
        except MlprodError as error:
            return _ended(folder, error.exit_code, str(error))
        except KeyboardInterrupt as stop:
            return _ended(folder, _INTERRUPTED, str(stop) or "interrupted")
        except Exception as error:
            _ended(folder, _FAILED, f"{type(error).__name__}: {error}")
            raise
        sys.stdout.write(f"{result}\n")
        background.end(folder, result.exit_code, result.headline(), result.to_dict())
        return result.exit_code


def _ended(folder: Path, exit_code: int, said: str) -> int:
    sys.stdout.write(f"mlprod: {said}\n")
    background.end(folder, exit_code, said, {})
    return exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
