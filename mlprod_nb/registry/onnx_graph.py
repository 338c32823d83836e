"""Small changes to a converted ONNX graph: names of inputs and outputs, labels that follow from the probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlprod_nb.registry.bundles import ClassLabel

_DECIMALS = 1e6
_NUMBERS = frozenset((1, 7, 11))
"""``TensorProto``'s codes of float, int64 and double."""


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


def gather_inputs(graph: Any, names: Sequence[str], gathered: str) -> bool:
    """Let a graph that first puts its inputs beside each other take them so: one tensor instead of one a column.

    onnxruntime takes about 2 µs to be given a tensor, which is most of what a small model takes for one row.

    Args:
        graph: A graph whose inputs are the columns.
        names: The columns in the order that the new input has them in.
        gathered: The new input's name.

    Returns:
        Whether it is so now; a graph whose inputs are of several types, or are used elsewhere, stays as it is.
    """
    kinds = {value.type.tensor_type.elem_type for value in graph.input}
    users = [node for node in graph.node if not set(names).isdisjoint(node.input)]
    if len(names) < 2 or len(kinds) != 1 or not kinds <= _NUMBERS or len(users) != 1 or _has_subgraph(graph):
        return False
    (first,) = users
    axes = [attribute.i for attribute in first.attribute if attribute.name == "axis"]
    if first.op_type != "Concat" or axes not in ([1], [-1]) or list(first.input) != list(names):
        return False
    made = first.output[0]
    if any(output.name == made for output in graph.output):
        return False
    graph.node.remove(first)
    del graph.input[1:]
    graph.input[0].name = gathered
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = len(names)
    _rename(graph, made, gathered)
    return True


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


def _has_subgraph(graph: Any) -> bool:
    return any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)


def without_chance(model: Any) -> None:
    """Give a model one spelling: skl2onnx draws the graph's name, and lists the operators' sets as they come.

    So equal models are equal bytes, and their bundles have one digest.
    """
    model.graph.name = "model"
    sets = sorted((found.domain, found.version) for found in model.opset_import)
    del model.opset_import[:]
    for domain, version in sets:
        model.opset_import.add(domain=domain, version=version)
