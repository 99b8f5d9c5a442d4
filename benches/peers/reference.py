"""What every contestant's output is compared with: the block in NumPy, at 64 bits."""

from __future__ import annotations

import numpy as np

from workload import Activation, Tensors, Workload

TOLERANCE = 1e-4
"""Most error of an output, as a part of the outputs' root mean square. Sums of f32 stay below a
tenth of it; a library that lowers precision to bfloat16 or float16 does not."""


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def hard_sigmoid(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 3, 0, 6) / 6


def gelu_tanh(values: np.ndarray) -> np.ndarray:
    return values / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)))


CURVES = {
    "hard_swish": lambda values: values * hard_sigmoid(values),
    "hard_sigmoid": hard_sigmoid,
    "silu": lambda values: values * sigmoid(values),
    "sigmoid": sigmoid,
    "gelu_tanh": gelu_tanh,
}
"""The activations of `workload.CURVES`."""


def run(workload: Workload, tensors: Tensors) -> np.ndarray:
    """The block's output, in the workload's layout."""
    exact = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    image, residual = exact["input"], exact.get("residual")
    if workload.layout == "nhwc":
        image = image.transpose(0, 3, 1, 2)
        residual = None if residual is None else residual.transpose(0, 3, 1, 2)
    middle = depthwise(workload, image, exact)
    middle = activate(middle, workload.depthwise.activation, exact.get("depthwise_slopes"))
    batch, channels, rows, cols = middle.shape
    output = exact["pointwise"] @ middle.reshape(batch, channels, rows * cols)
    output = output.reshape(batch, -1, rows, cols)
    if workload.pointwise.bias:
        output += exact["pointwise_bias"][:, None, None]
    if residual is not None:
        output += residual
    output = activate(output, workload.pointwise.activation, exact.get("pointwise_slopes"))
    return output if workload.layout == "nchw" else output.transpose(0, 2, 3, 1)


def depthwise(workload: Workload, image: np.ndarray, tensors: Tensors) -> np.ndarray:
    """The first stage without its activation: for each tap, a shifted image times a weight."""
    stage = workload.depthwise
    top, left, bottom, right = stage.padding
    padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)))
    padded = padded.repeat(stage.multiplier, axis=1)
    rows, cols = workload.output_extent
    sums = np.zeros((workload.batch, workload.middle_channels, rows, cols))
    for tap_row, tap_col in np.ndindex(stage.kernel):
        row, col = tap_row * stage.dilation[0], tap_col * stage.dilation[1]
        rows_read = slice(row, row + (rows - 1) * stage.stride[0] + 1, stage.stride[0])
        cols_read = slice(col, col + (cols - 1) * stage.stride[1] + 1, stage.stride[1])
        weights = tensors["depthwise"][:, tap_row, tap_col, None, None]
        sums += weights * padded[:, :, rows_read, cols_read]
    return sums + tensors["depthwise_bias"][:, None, None] if stage.bias else sums


def activate(values: np.ndarray, activation: Activation, slopes: np.ndarray | None) -> np.ndarray:
    if slopes is not None:
        return np.where(values < 0, values * slopes[:, None, None], values)
    if activation.slope is not None:
        return np.where(values < 0, values * activation.slope, values)
    if activation.curve is not None:
        return CURVES[activation.curve](values)
    return np.minimum(np.maximum(values, activation.bounds[0]), activation.bounds[1])


def error(output: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, as a part of the expected outputs' root mean square; infinite for NaN."""
    magnitude = float(np.sqrt(np.mean(expected**2))) or 1.0
    worst = float(np.max(np.abs(output - expected))) / magnitude
    return worst if np.isfinite(worst) else np.inf
