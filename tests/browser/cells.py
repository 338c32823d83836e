"""Cells that several tests run in JupyterLab."""

from __future__ import annotations

TRAIN = """\
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
planes = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["seats", "wings"])
late = (planes.seats > 0).astype(int)
delays = LogisticRegression().fit(planes, late)"""
