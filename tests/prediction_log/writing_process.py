"""A process that writes predictions from several threads until it is killed; a test starts it.

``python -m tests.prediction_log.writing_process FOLDER PREFIX`` prints each id after its record was acknowledged.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from tests.prediction_log.batches import append, predictions

THREADS = 4


def main(folder: Path, prefix: str) -> None:
    """Write until killed."""
    writer = SegmentWriter(folder, max_bytes=100_000)

    def work(thread: int) -> None:
        for number in itertools.count():
            prediction_id = f"{prefix}-{thread}-{number}"
            append(writer, encode_predictions(predictions([prediction_id]))).result()
            # One write call each, so that a kill leaves no half line and no line is buffered.
            os.write(1, f"{prediction_id}\n".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
