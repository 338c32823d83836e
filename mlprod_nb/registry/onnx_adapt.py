"""Bringing a fitted model into the form that the ONNX converter knows, on a copy, without changing what it says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from mlprod_nb.registry.onnx_runner import MISSING_TEXT


def adapt(model: Any) -> Any:
    """Return the model, or a changed copy where the converter needs one.

    - A ``SimpleImputer`` of strings looks for the text that stands for a missing one, since ONNX has no missing string.
    - XGBoost's trees name their columns by number, since the converter knows no other names.
    - A ``VotingClassifier`` loses ``flatten_transform``, which the converter refuses and a prediction never uses.
    """
    if not any(_change(part) for part in parts(model)):
        return model
    changed = copy.deepcopy(model)
    for part in parts(changed):
        change = _change(part)
        if change is not None:
            change()
    return changed


def _change(part: Any) -> Callable[[], None] | None:
    from sklearn.ensemble import VotingClassifier
    from sklearn.impute import SimpleImputer

    if isinstance(part, SimpleImputer):
        texts = getattr(part, "statistics_", None)
        missing = part.missing_values
        if getattr(getattr(texts, "dtype", None), "kind", "") == "O" and (missing is None or missing != missing):
            return lambda: setattr(part, "missing_values", MISSING_TEXT)
    if type(part).__module__.startswith("xgboost.") and part.get_booster().feature_names is not None:
        return lambda: setattr(part.get_booster(), "feature_names", None)
    if isinstance(part, VotingClassifier) and part.flatten_transform:
        return lambda: setattr(part, "flatten_transform", False)
    return None


def parts(model: Any) -> Iterator[Any]:
    """Yield a model and every fitted estimator inside it."""
    yield model
    for name in ("steps", "transformers_", "transformer_list", "estimators_"):
        found = getattr(model, name, None)
        for item in found if isinstance(found, list | tuple) else ():
            for inner in item if isinstance(item, tuple) else (item,):
                if hasattr(inner, "get_params") and not isinstance(inner, type):
                    yield from parts(inner)
