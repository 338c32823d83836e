"""A model for the tests of model workers; a module of its own, because each worker imports it."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin


class Oddity(ClassifierMixin, BaseEstimator):
    """A classifier that ONNX cannot express; the value of ``distance`` makes it fail, hang, crash or dawdle."""

    FAILS, HANGS, ENDS, DAWDLES = -1.0, -2.0, -3.0, -4.0

    def fit(self, frame: pd.DataFrame, labels: Any) -> Oddity:
        self.classes_ = np.unique(labels)
        self.fitted_ = True
        return self

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        values = np.asarray(frame["distance"], dtype=np.float64)
        if (values == self.FAILS).any():
            raise RuntimeError("no such distance in /etc/secret/path")
        if (values == self.HANGS).any():
            time.sleep(60)
        if (values == self.DAWDLES).any():
            time.sleep(0.3)
        if (values == self.ENDS).any():
            os._exit(3)
        share = 1 / (1 + np.exp(-values / 1000))
        return np.column_stack([1 - share, share])

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.classes_[(self.predict_proba(frame)[:, 1] > 0.5).astype(int)]
