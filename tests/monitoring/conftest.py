"""The reference that looks are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from mlprod_nb.monitoring import Profile
from mlprod_nb.monitoring.impact import with_importance
from tests.monitoring import samples


@pytest.fixture(scope="session")
def reference() -> Profile:
    """The reference of the model whose looks are tested, with what it leans on."""
    profile, columns = samples.reference_profile(np.random.default_rng(100), 8000)
    return with_importance(profile, columns, samples.score_of)
