"""ONNX Runtime: weights are initializers, input and output are bound once.

The first argument is the level of graph optimisation: `all` lets it choose a blocked layout inside,
`extended` keeps NCHW, which is faster where there are few channels.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper

from contestants.protocol import Prepared, calls, serve
from workload import Activation, Tensors, Unsupported, Workload, aligned

LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


CURVES: dict[str, tuple[str, dict[str, object]]] = {
    "hard_swish": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "sigmoid": ("Sigmoid", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
}
"""Activations that are operators, and their attributes."""


class Graph:
    """Nodes and initializers of an ONNX model under construction."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def activate(self, value: str, activation: Activation, slopes: np.ndarray | None) -> str:
        if activation.is_none:
            return value
        name = value + "_activated"
        if slopes is not None:
            slope = self.constant(name + "_slopes", slopes[:, None, None])
            return self.node("PRelu", [value, slope], name)
        if activation.slope is not None:
            return self.node("LeakyRelu", [value], name, alpha=activation.slope)
        if activation.curve is not None:
            return self.curve(value, activation.curve, name)
        if activation.bounds == (0.0, math.inf):
            return self.node("Relu", [value], name)
        ends = [np.float32(bound) for bound in activation.bounds]
        low, high = (self.constant(f"{name}_{i}", np.array(end)) for i, end in enumerate(ends))
        return self.node("Clip", [value, low, high], name)

    def curve(self, value: str, curve: str, name: str) -> str:
        """There is no silu in ONNX; its spelling is the one that ONNX Runtime fuses."""
        if curve == "silu":
            factor = self.node("Sigmoid", [value], name + "_factor")
            return self.node("Mul", [value, factor], name)
        operator, attributes = CURVES[curve]
        return self.node(operator, [value], name, **attributes)


def model(workload: Workload, tensors: Tensors) -> bytes:
    graph = Graph()
    stage = workload.depthwise

    def weights(name: str, tail: tuple[int, ...]) -> list[str]:
        values = tensors[name]
        operands = [graph.constant(name, values.reshape(values.shape[0], -1, *tail))]
        if name + "_bias" in tensors:
            operands.append(graph.constant(name + "_bias", tensors[name + "_bias"]))
        return operands

    value = graph.node(
        "Conv",
        ["input", *weights("depthwise", stage.kernel)],
        "middle",
        group=workload.channels,
        strides=stage.stride,
        dilations=stage.dilation,
        pads=stage.padding,
    )
    value = graph.activate(value, stage.activation, tensors.get("depthwise_slopes"))
    value = graph.node("Conv", [value, *weights("pointwise", (1, 1))], "summed")
    if workload.pointwise.residual:
        value = graph.node("Add", [value, "residual"], "added")
    value = graph.activate(value, workload.pointwise.activation, tensors.get("pointwise_slopes"))
    described = {"input": tensors["input"].shape}
    if workload.pointwise.residual:
        described["residual"] = workload.output_shape
    built = helper.make_graph(
        graph.nodes,
        "block",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in described.items()],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, workload.output_shape)],
        graph.initializers,
    )
    opset = helper.make_opsetid("", 20)
    return helper.make_model(built, opset_imports=[opset], ir_version=9).SerializeToString()


def prepare(workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    if workload.layout != "nchw":
        raise Unsupported("ONNX convolutions are NCHW")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = LEVELS[sys.argv[1]]
    session = ort.InferenceSession(
        model(workload, tensors), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    output = aligned(workload.output_shape)
    for bound in session.get_inputs():
        value = ort.OrtValue.ortvalue_from_numpy(tensors[bound.name])
        binding.bind_ortvalue_input(bound.name, value)
    name = session.get_outputs()[0].name
    binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(output))
    # `InferenceSession.run_with_iobinding` only wraps this call.
    run, bound = session._sess.run_with_iobinding, binding._iobinding
    return Prepared(calls(lambda: run(bound, None)), lambda: output)


if __name__ == "__main__":
    ort.disable_telemetry_events()
    serve(ort.__version__, prepare)
