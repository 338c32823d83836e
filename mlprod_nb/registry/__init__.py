"""Models, their versions, their lineage and the bundles that the gateway loads.

Importing this package is cheap and imports nothing else: the gateway reads ``registry.bundles`` and
``registry.onnx_runner``, neither of which knows MLflow, pandas or scikit-learn. Guarantee: what cannot be converted to
ONNX, or disagrees with the original, is never served as if it could; it says why.
"""
