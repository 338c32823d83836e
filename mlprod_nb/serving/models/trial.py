"""``python -m mlprod_nb.serving.models.trial BUNDLE SECONDS``: opens an ONNX model, answers its warm-up rows, and ends.

Only whether it ends by itself is of interest: whoever started it opens the model then, and says what is wrong with it.
"""

from __future__ import annotations

import math
import signal
import sys
from contextlib import suppress
from pathlib import Path

from mlprod_nb.registry.bundles import read_bundle
from mlprod_nb.registry.onnx_runner import OnnxRunner
from mlprod_nb.serving.columns import typed


def main() -> int:
    """Try a bundle; return 0 whatever it says."""
    bundle = read_bundle(Path(sys.argv[1]))
    signal.alarm(math.ceil(float(sys.argv[2])))  # ends it also where nobody waits any more
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends, this is to end, and not the gateway
    with suppress(Exception):
        columns, expected = bundle.warmup()
        OnnxRunner(bundle).run(typed(columns, len(expected), bundle.signature))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
