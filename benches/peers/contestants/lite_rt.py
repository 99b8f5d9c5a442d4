"""LiteRT (TFLite), whose kernels for floats are XNNPACK's; models are written with its own schema.

Padding that TFLite's `SAME` does not mean is an operation of its own, which XNNPACK merges into the
convolution.
"""

from __future__ import annotations

import math
from importlib.metadata import version

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from contestants.protocol import Prepared, calls, serve
from workload import Activation, Depthwise, Tensors, Unsupported, Workload

FUSED = {
    (-math.inf, math.inf): schema.ActivationFunctionType.NONE,
    (0.0, math.inf): schema.ActivationFunctionType.RELU,
    (0.0, 6.0): schema.ActivationFunctionType.RELU6,
    (-1.0, 1.0): schema.ActivationFunctionType.RELU_N1_TO_1,
}
TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}


class Model:
    """Tensors and operators of a TFLite model under construction; tensors are numbers."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]  # the first is the empty one
        self.tensors: list[schema.TensorT] = []
        self.codes: list[schema.OperatorCodeT] = []
        self.operators: list[schema.OperatorT] = []

    def tensor(self, shape: tuple[int, ...], dtype: str = "float32", buffer: int = 0) -> int:
        name = f"t{len(self.tensors)}"
        self.tensors.append(
            schema.TensorT(shape=list(shape), type=TYPES[dtype], buffer=buffer, name=name)
        )
        return len(self.tensors) - 1

    def constant(self, values: np.ndarray) -> int:
        contiguous = np.ascontiguousarray(values)
        self.buffers.append(schema.BufferT(data=contiguous.reshape(-1).view(np.uint8)))
        return self.tensor(values.shape, values.dtype.name, len(self.buffers) - 1)

    def operator(
        self, name: str, inputs: list[int], shape: tuple[int, ...], options: object = None
    ) -> int:
        """Adds an operator; returns its output."""
        code = getattr(schema.BuiltinOperator, name)
        self.codes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code)
        )
        kind = type(options).__name__.removesuffix("T") if options else "NONE"
        output = self.tensor(shape)
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=len(self.codes) - 1,
                inputs=inputs,
                outputs=[output],
                builtinOptionsType=getattr(schema.BuiltinOptions, kind),
                builtinOptions=options,
            )
        )
        return output

    def serialize(self, inputs: list[int], output: int) -> bytes:
        graph = schema.SubGraphT(
            tensors=self.tensors, inputs=inputs, outputs=[output], operators=self.operators
        )
        model = schema.ModelT(
            version=3, operatorCodes=self.codes, subgraphs=[graph], buffers=self.buffers
        )
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def is_same_padding(stage: Depthwise, extent: tuple[int, int], output: tuple[int, int]) -> bool:
    """Whether TFLite's `SAME` means the stage's padding."""
    for axis in (0, 1):
        size, stride = extent[axis], stage.stride[axis]
        reach = stage.dilation[axis] * (stage.kernel[axis] - 1) + 1
        total = max(0, (output[axis] - 1) * stride + reach - size)
        before, after = stage.padding[axis], stage.padding[axis + 2]
        # Pixels that no window reaches do not matter.
        if output[axis] != -(-size // stride) or before != total // 2 or after < total - before:
            return False
    return True


def fused(activation: Activation) -> int | None:
    """The activation as an attribute of an operator, if there is one."""
    is_limit = not activation.has_slopes and activation.slope is None and activation.curve is None
    return FUSED.get(activation.bounds) if is_limit else None


def model(workload: Workload, tensors: Tensors) -> bytes:
    """The block; the shapes are NHWC."""
    block, stage, tail = Model(), workload.depthwise, workload.pointwise
    image = block.tensor(tensors["input"].shape)
    inputs = [image]
    padding, value = schema.Padding.SAME, image
    if not is_same_padding(stage, workload.extent, workload.output_extent):
        padding = schema.Padding.VALID
        if any(stage.padding):
            value = pad(block, workload, value)
    middle = workload.shape(workload.middle_channels, workload.output_extent)
    value = convolution(
        block,
        "DEPTHWISE_CONV_2D",
        [value, block.constant(tensors["depthwise"].transpose(1, 2, 0)[None])],
        tensors.get("depthwise_bias"),
        middle,
        schema.DepthwiseConv2DOptionsT(
            padding=padding,
            strideH=stage.stride[0],
            strideW=stage.stride[1],
            depthMultiplier=stage.multiplier,
            dilationHFactor=stage.dilation[0],
            dilationWFactor=stage.dilation[1],
            fusedActivationFunction=fused(stage.activation) or 0,
        ),
    )
    value = activate(block, value, stage.activation, tensors.get("depthwise_slopes"), middle)
    # An activation after a residual belongs to the addition.
    after = fused(tail.activation) or 0
    value = convolution(
        block,
        "CONV_2D",
        [value, block.constant(tensors["pointwise"][:, None, None, :])],
        tensors.get("pointwise_bias"),
        workload.output_shape,
        schema.Conv2DOptionsT(
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            fusedActivationFunction=0 if tail.residual else after,
        ),
    )
    if tail.residual:
        inputs.append(block.tensor(workload.output_shape))
        options = schema.AddOptionsT(fusedActivationFunction=after)
        value = block.operator("ADD", [value, inputs[1]], workload.output_shape, options)
    slopes = tensors.get("pointwise_slopes")
    value = activate(block, value, tail.activation, slopes, workload.output_shape)
    return block.serialize(inputs, value)


def pad(block: Model, workload: Workload, value: int) -> int:
    top, left, bottom, right = workload.depthwise.padding
    rows, cols = workload.extent
    shape = workload.shape(workload.channels, (rows + top + bottom, cols + left + right))
    sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    return block.operator("PAD", [value, block.constant(sides)], shape, schema.PadOptionsT())


def convolution(
    block: Model,
    name: str,
    operands: list[int],
    bias: np.ndarray | None,
    shape: tuple[int, ...],
    options: object,
) -> int:
    bias = np.zeros(shape[-1], np.float32) if bias is None else bias
    return block.operator(name, [*operands, block.constant(bias)], shape, options)


def activate(
    block: Model,
    value: int,
    activation: Activation,
    slopes: np.ndarray | None,
    shape: tuple[int, ...],
) -> int:
    """Adds an activation that is no attribute of the operator before."""
    if slopes is not None:
        return block.operator("PRELU", [value, block.constant(slopes[None, None, :])], shape)
    if activation.slope is not None:
        options = schema.LeakyReluOptionsT(alpha=activation.slope)
        return block.operator("LEAKY_RELU", [value], shape, options)
    if activation.curve is not None:
        return curve(block, value, activation.curve, shape)
    if fused(activation) is None:
        raise Unsupported(f"TFLite fuses no clamp to {activation.bounds}")
    return value


def curve(block: Model, value: int, name: str, shape: tuple[int, ...]) -> int:
    """As operators of TFLite, which has neither silu nor hard sigmoid."""
    if name == "hard_swish":
        return block.operator("HARD_SWISH", [value], shape, schema.HardSwishOptionsT())
    if name == "gelu_tanh":
        return block.operator("GELU", [value], shape, schema.GeluOptionsT(approximate=True))
    if name == "hard_sigmoid":
        number = (block.constant(np.array(number, np.float32)) for number in (3, 1 / 6))
        relu6 = schema.ActivationFunctionType.RELU6
        options = schema.AddOptionsT(fusedActivationFunction=relu6)
        value = block.operator("ADD", [value, next(number)], shape, options)
        return block.operator("MUL", [value, next(number)], shape, schema.MulOptionsT())
    factor = block.operator("LOGISTIC", [value], shape)
    if name == "sigmoid":
        return factor
    return block.operator("MUL", [value, factor], shape, schema.MulOptionsT())


def prepare(workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    if workload.layout != "nhwc":
        raise Unsupported("TFLite is NHWC")
    interpreter = Interpreter(model_content=model(workload, tensors), num_threads=threads)
    interpreter.allocate_tensors()
    for described, name in zip(
        interpreter.get_input_details(), ["input", "residual"], strict=False
    ):
        interpreter.tensor(described["index"])()[:] = tensors[name]
    output = interpreter.tensor(interpreter.get_output_details()[0]["index"])
    # `Interpreter.invoke` only guards this call against views that are still in use.
    return Prepared(calls(interpreter._interpreter.Invoke), lambda: output())


if __name__ == "__main__":
    serve(version("ai-edge-litert"), prepare)
