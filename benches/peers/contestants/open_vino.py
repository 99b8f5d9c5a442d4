"""OpenVINO: a model of constants, compiled for 32-bit arithmetic; tensors are shared, not copied.

In NHWC, input and output are declared NHWC, and the plugin chooses layouts inside.
"""

from __future__ import annotations

import math
import sys

import numpy as np

# Without this module, which reports usage, OpenVINO takes a stub that does not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

from contestants.protocol import Prepared, calls, serve  # noqa: E402
from workload import Activation, Tensors, Workload, aligned  # noqa: E402


CURVES = {
    "hard_swish": ops.hswish,
    "hard_sigmoid": ops.hsigmoid,
    "silu": ops.swish,
    "sigmoid": ops.sigmoid,
    "gelu_tanh": lambda value: ops.gelu(value, "tanh"),
}


def activate(value: ov.Node, activation: Activation, slopes: np.ndarray | None) -> ov.Node:
    if slopes is not None:
        return ops.prelu(value, ops.constant(slopes))
    if activation.slope is not None:
        return ops.prelu(value, ops.constant(np.array([activation.slope], np.float32)))
    if activation.curve is not None:
        return CURVES[activation.curve](value)
    if activation.is_none:
        return value
    low, high = activation.bounds
    return ops.relu(value) if (low, high) == (0.0, math.inf) else ops.clamp(value, low, high)


def biased(value: ov.Node, bias: np.ndarray | None) -> ov.Node:
    return value if bias is None else ops.add(value, ops.constant(bias[None, :, None, None]))


def model(workload: Workload, tensors: Tensors) -> ov.Model:
    """The block in NCHW, with input and output as the workload's layout has them."""
    stage = workload.depthwise
    nchw = workload.with_layout("nchw")
    image = ops.parameter(nchw.shapes["input"], np.float32, "input")
    parameters = [image]
    top, left, bottom, right = stage.padding
    filters = tensors["depthwise"].reshape(workload.channels, stage.multiplier, 1, *stage.kernel)
    value = ops.group_convolution(
        image,
        ops.constant(filters),
        list(stage.stride),
        [top, left],
        [bottom, right],
        list(stage.dilation),
    )
    value = biased(value, tensors.get("depthwise_bias"))
    value = activate(value, stage.activation, tensors.get("depthwise_slopes"))
    weights = ops.constant(tensors["pointwise"][:, :, None, None])
    value = ops.convolution(value, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    value = biased(value, tensors.get("pointwise_bias"))
    if workload.pointwise.residual:
        residual = ops.parameter(nchw.output_shape, np.float32, "residual")
        parameters.append(residual)
        value = ops.add(value, residual)
    value = activate(value, workload.pointwise.activation, tensors.get("pointwise_slopes"))
    block = ov.Model([value], parameters, "block")
    if workload.layout == "nchw":
        return block
    nhwc = ov.preprocess.PrePostProcessor(block)
    for index in range(len(parameters)):
        nhwc.input(index).tensor().set_layout(ov.Layout("NHWC"))
        nhwc.input(index).model().set_layout(ov.Layout("NCHW"))
    nhwc.output().model().set_layout(ov.Layout("NCHW"))
    nhwc.output().tensor().set_layout(ov.Layout("NHWC"))
    return nhwc.build()


def prepare(workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # All contestants leave the choice of cores to the operating system.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = ov.Core().compile_model(model(workload, tensors), "CPU", options)
    request = compiled.create_infer_request()
    output = aligned(workload.output_shape)
    for index, name in enumerate(["input", "residual"][: len(compiled.inputs)]):
        request.set_input_tensor(index, ov.Tensor(tensors[name], shared_memory=True))
    request.set_output_tensor(0, ov.Tensor(output, shared_memory=True))
    # `InferRequest.infer` only wraps this call; an empty dictionary leaves the tensors as they are.
    infer = super(ov.InferRequest, request).infer
    return Prepared(calls(lambda: infer({}, True, False)), lambda: output)


if __name__ == "__main__":
    serve(ov.get_version().split("-")[0], prepare)
