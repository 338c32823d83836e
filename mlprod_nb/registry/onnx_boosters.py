"""The estimators of XGBoost and LightGBM: their converters, which onnxmltools has where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlprod_nb.registry import onnx_adapt

_LIBRARIES = ("xgboost", "lightgbm")
_ESTIMATORS = ("XGBClassifier", "XGBRegressor", "LGBMClassifier", "LGBMRegressor")
_NEWEST_TREES = 3
"""onnxmltools does not write the trees of a newer ``ai.onnx.ml``."""


def inside(model: Any) -> list[str]:
    """Return the names of the classes of such estimators that a model is, or is made of."""
    kinds = {type(part) for part in onnx_adapt.parts(model)}
    return sorted(kind.__name__ for kind in kinds if kind.__module__.partition(".")[0] in _LIBRARIES)


def opset() -> dict[str, int]:
    """Return the versions of ONNX's operators to convert such a model to."""
    from skl2onnx import __max_supported_opset__

    return {"": __max_supported_opset__, "ai.onnx.ml": _NEWEST_TREES}


def register(names: list[str]) -> None:
    """Tell the ONNX converter of some estimators.

    Args:
        names: The names of their classes, as :func:`inside` gives them; those that have no converter are passed over.

    Raises:
        ImportError: onnxmltools is not installed.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    for estimator, convert in _converters([name for name in names if name in _ESTIMATORS]):
        name = estimator.__name__
        if name.endswith("Classifier"):
            shape = shape_calculator.calculate_linear_classifier_output_shapes
            options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        else:
            shape, options = shape_calculator.calculate_linear_regressor_output_shapes, None
        update_registered_converter(estimator, f"Mlprod{name}", shape, convert, options=options, overwrite=True)


def _converters(names: list[str]) -> Iterator[tuple[type, Any]]:
    for name in names:
        if name.startswith("XGB"):
            import xgboost
            from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

            yield getattr(xgboost, name), convert_xgboost
        else:
            import lightgbm
            from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

            yield getattr(lightgbm, name), convert_lightgbm
