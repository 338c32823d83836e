"""Labels that came and cannot be used: no class of the model, no number where one is estimated, or of no prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_present, one_chunk
from mlprod_nb.monitoring.columns import to_texts
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.rows import Finding
from mlprod_nb.monitoring.scoring import Outcomes

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.prediction_log.matching import Unmatched

CHECK = "unusable labels"
STRAY = "stray feedback"
#: From this share of the labels, or of the feedback, on they are a warning: a slip of the pen is none.
_MUCH = 0.01
_NAMED = 5


def unusable(profile: Profile, window: pa.Table, outcomes: Outcomes, own: NDArray[np.bool_]) -> list[Finding]:
    """Say how many labels of the model's own predictions cannot be used, what one is, and what they should be.

    Args:
        profile: The reference.
        window: Labelled predictions.
        outcomes: What :func:`scoring.read` reads of them.
        own: Which rows count.
    """
    if "label" not in window.column_names:
        return []
    given = one_chunk(window.column("label"))
    regression = profile.task == "regression"
    unread = ~np.isfinite(outcomes.labelled.labels) if regression else outcomes.labelled.labels < 0
    came = own & arrow_present(given)
    strange = came & unread
    if not strange.any():
        return []
    count, share = int(strange.sum()), float(strange.sum() / came.sum())
    example = to_texts(given.slice(int(np.argmax(strange)), 1))[0] or ""
    classes = ", ".join(map(str, profile.classes[:_NAMED])) + (", …" if len(profile.classes) > _NAMED else "")
    none = "no number" if regression else f"none of the model's classes {classes}"
    verb = "label is" if count == 1 else "labels are"
    text = f"{count:,} {verb} {none}, as {example[:40]!r}, and left out"
    return [Finding("", CHECK, "warn" if share >= _MUCH else "info", share, text)]


def stray(found: Unmatched | None) -> list[Finding]:
    """Say how much feedback names no prediction of the endpoint; ``None`` where that was not read."""
    if found is None or not found.strays:
        return []
    share = found.strays / found.feedback
    return [Finding("", STRAY, "warn" if share >= _MUCH else "info", share, f"{found.told()}, and left out")]
