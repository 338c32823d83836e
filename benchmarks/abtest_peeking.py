"""Draw how often a test without any difference has been called different by each look; writes docs/pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.abtest_statistics import ALPHA, ROWS, Flags, Looks, exact, peeked, spending
from benchmarks.statistics_page import bounds

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "peeking.png"
LOOKS, RUNS, BASE, SEED = 200, 1_000, 0.1, 5
READINGS: tuple[tuple[str, str, Callable[[Looks], Flags]], ...] = (
    ("an ordinary 5 % test, looked at each time", "#d9731a", peeked),
    ("planned looks (alpha spending)", "#2f81d6", spending),
    ("always valid (e-process), the default", "#1a7f37", exact),
)


def main() -> None:
    """Simulate tests in which both variants are right equally often, and draw the share that was ever called."""
    looks = Looks.draw(np.random.default_rng(SEED), (BASE, BASE), RUNS, LOOKS, ROWS)
    figure = Figure(figsize=(7.5, 4.2), dpi=110)
    axes = figure.subplots()
    for name, colour, reading in READINGS:
        ever = np.logical_or.accumulate(reading(looks), axis=1).sum(axis=0)
        low, high = np.array([bounds(int(found), RUNS) for found in ever]).T
        at = np.arange(1, LOOKS + 1)
        axes.plot(at, 100 * ever / RUNS, color=colour, label=f"{name}: {100 * ever[-1] / RUNS:.1f} %")
        axes.fill_between(at, 100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(100 * ALPHA, color="#57606a", linestyle="--", linewidth=1)
    axes.text(LOOKS, 100 * ALPHA + 0.6, "5 %, as promised", ha="right", color="#57606a")
    axes.set(xlabel="looks so far", ylabel="tests called different, %", xlim=(1, LOOKS), ylim=(0, None))
    axes.set_title(f"No difference: {RUNS:,} tests of {ROWS:,} predictions each", loc="left", fontsize=11)
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Software": None})


if __name__ == "__main__":
    main()
