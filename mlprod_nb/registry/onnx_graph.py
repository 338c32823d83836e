"""Small changes to a converted ONNX graph: names of inputs and outputs, labels that follow from the probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlprod_nb.registry.bundles import ClassLabel

_DECIMALS = 1e6


def name_inputs(graph: Any, names: Sequence[str]) -> None:
    """Give a graph's inputs the columns' names: the converter changes those that it uses itself, such as ``label``.

    Raises:
        ValueError: The graph does not take one input a column.
    """
    if len(graph.input) != len(names):
        raise ValueError(f"the ONNX model takes {len(graph.input)} inputs for {len(names)} columns")
    _name(graph, graph.input, names)


def name_outputs(graph: Any, names: Sequence[str]) -> None:
    """Give a graph's outputs their names.

    Raises:
        ValueError: The graph gives another number of outputs.
    """
    if len(graph.output) != len(names):
        raise ValueError(f"the ONNX model gives {len(graph.output)} outputs, not {len(names)}")
    _name(graph, graph.output, names)


def labels_from_probabilities(model: Any, classes: Sequence[ClassLabel]) -> None:
    """Let a classifier's label be the first class of the largest probability, to six decimals.

    scikit-learn's forests break exact ties so; runtimes that sum votes in float32 break them by rounding error.

    Args:
        model: An ONNX model with two outputs, label and probabilities.
        classes: The labels in the model's order.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    label, probabilities = (output.name for output in graph.output)
    _rename(graph, label, "mlprod_converted_label", outputs=False)
    kind = graph.output[1].type.tensor_type.elem_type
    texts = isinstance(classes[0], str)
    values = np.array(classes, dtype=object) if texts else np.array(classes).astype(np.int64)
    graph.initializer.extend(
        [
            helper.make_tensor("mlprod_decimals", kind, [1], [_DECIMALS]),
            numpy_helper.from_array(values, "mlprod_classes"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Mul", [probabilities, "mlprod_decimals"], ["mlprod_scaled"]),
            helper.make_node("Round", ["mlprod_scaled"], ["mlprod_rounded"]),
            helper.make_node("ArgMax", ["mlprod_rounded"], ["mlprod_largest"], axis=1, keepdims=0),
            helper.make_node("Gather", ["mlprod_classes", "mlprod_largest"], [label]),
        ]
    )


def _name(graph: Any, values: Any, names: Sequence[str]) -> None:
    """Rename tensors in two steps, so that one may take the old name of another; inner ones make room."""
    for index, value in enumerate(list(values)):
        _rename(graph, value.name, f"mlprod_tensor_{index}")
    for index, name in enumerate(names):
        _rename(graph, name, f"mlprod_inner_{name}")
        _rename(graph, f"mlprod_tensor_{index}", name)


def _rename(graph: Any, old: str, new: str, *, outputs: bool = True) -> None:
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, tensor in enumerate(tensors):
                if tensor == old:
                    tensors[index] = new
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, old, new)
    for values in (graph.input, graph.value_info, graph.initializer, *([graph.output] if outputs else [])):
        for value in values:
            if value.name == old:
                value.name = new


def without_chance(model: Any) -> None:
    """Give a model one spelling: skl2onnx draws the graph's name, and lists the operators' sets as they come.

    So equal models are equal bytes, and their bundles have one digest.
    """
    model.graph.name = "model"
    sets = sorted((found.domain, found.version) for found in model.opset_import)
    del model.opset_import[:]
    for domain, version in sets:
        model.opset_import.add(domain=domain, version=version)
