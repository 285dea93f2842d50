"""From a net to an ONNX model."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import numpy
from numpy.typing import NDArray

import minigan
from minigan import nn
from minigan.export.graph import Graph, Value
from minigan.export.rules import write

OPSET = 21
"""Version of ONNX's operators, of 2024; every runtime of today has it."""

IR_VERSION = 10


def to_onnx(
    net: nn.Layer, example: Any, *, names: tuple[str, ...] = ("x", "labels"), output: str = "y"
) -> Any:
    """Return a net in evaluation mode as an ONNX model.

    Parameters
    ----------
    net
        A net of the library's layers, on any device and of any precision; it isn't changed. The
        model computes in float32.
    example
        An input of the net, or a tuple of them: arrays of float or, for labels, of integers. Only
        the shapes matter, of which the first axis, the batch, may differ later. A net with
        `MinibatchStdDev` needs a multiple of its group.
    names
        Names of the inputs.
    output
        Name of the output.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ValueError
        If the package ``onnx`` isn't installed, or the net holds a layer that can't be exported.
    """
    onnx = _import_onnx()
    net = copy.deepcopy(net).to("cpu").astype("float32")
    given = example if isinstance(example, tuple) else (example,)
    if len(given) > len(names):
        raise ValueError(
            f"{len(given)} inputs were given, but {len(names)} names; name each of them (names)."
        )
    values = [Value(name, _plain(a)) for name, a in zip(names, given, strict=False)]
    g = Graph()
    y = write(g, net, tuple(values) if isinstance(example, tuple) else values[0])
    g.call("Identity", y.name)
    last = g.nodes[-1]._replace(output=output)
    nodes = [
        onnx.helper.make_node(node.operator, list(node.inputs), [node.output], **node.attributes)
        for node in (*g.nodes[:-1], last)
    ]
    made = onnx.helper.make_graph(
        nodes,
        "minigan",
        [_declared(onnx, value.name, value.example) for value in values],
        [_declared(onnx, output, y.example)],
        [onnx.numpy_helper.from_array(a, name) for name, a in g.constants.items()],
    )
    model = onnx.helper.make_model(
        made,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        producer_name="minigan",
        producer_version=minigan.__version__,
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _declared(onnx: Any, name: str, example: NDArray[Any]) -> Any:
    """Declare an input or an output, whose batch is called N."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(example.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, ["N", *example.shape[1:]])


def _plain(a: Any) -> NDArray[Any]:
    array = numpy.asarray(a)
    return array.astype("int64" if array.dtype.kind in "iu" else "float32")


def _import_onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise ValueError(
            "Exporting to ONNX needs the package onnx, which is not installed; install "
            "minigan[onnx]."
        ) from None
