"""PyTorch: the operators that its compiler calls for frozen convolutions, oneDNN with fused
activations and weights prepared, without the compiler's checks around them.

Every run allocates its output. In NHWC, tensors are of the memory format `channels_last`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from contestants.protocol import Prepared, calls, serve
from workload import Activation, Tensors, Workload

Pair = tuple[int, int]
Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Window:
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def convolution(
    name: str,
    tensors: Tensors,
    window: Window,
    image: torch.Tensor,
    activation: Activation,
    other: torch.Tensor | None = None,
) -> Run:
    """A stage for images like this one, with a residual if there is another tensor."""
    filters = torch.from_numpy(tensors[name])
    filters = filters[:, None] if filters.ndim == 3 else filters[:, :, None, None]
    geometry = [window.padding, window.stride, window.dilation, window.groups]
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
        filters.to_mkldnn(), *geometry, list(image.shape)
    )
    bias = torch.from_numpy(tensors[name + "_bias"]) if name + "_bias" in tensors else None
    fused, scalars, algorithm = attribute(activation)
    if other is None:
        run = torch.ops.mkldnn._convolution_pointwise.default
        return after(
            activation,
            tensors.get(name + "_slopes"),
            fused == "none",
            lambda image: run(image, packed, bias, *geometry, fused, scalars, algorithm),
        )
    run = torch.ops.mkldnn._convolution_pointwise.binary
    relu = "relu" if fused == "relu" else None
    return after(
        activation,
        tensors.get(name + "_slopes"),
        relu is None,
        lambda image: run(image, other, packed, bias, *geometry, "add", None, relu, [], ""),
    )


CURVES = {
    "hard_swish": ("hardswish", torch.nn.functional.hardswish),
    "hard_sigmoid": ("hardsigmoid", torch.nn.functional.hardsigmoid),
    "silu": ("swish", torch.nn.functional.silu),
    "sigmoid": ("sigmoid", torch.sigmoid),
    "gelu_tanh": ("gelu", lambda value: torch.nn.functional.gelu(value, approximate="tanh")),
}
"""As a convolution takes them, and by themselves."""


def attribute(activation: Activation) -> tuple[str, list[float], str]:
    """The activation as a convolution takes it: name, numbers, algorithm; none where it does not."""
    if activation.slope is not None:
        return "leaky_relu", [activation.slope], ""
    if activation.curve is not None:
        algorithm = "tanh" if activation.curve == "gelu_tanh" else ""
        return CURVES[activation.curve][0], [], algorithm
    if activation.bounds == (0.0, math.inf):
        return "relu", [], ""
    if all(math.isfinite(bound) for bound in activation.bounds):
        return "hardtanh", list(activation.bounds), ""
    return "none", [], ""


def after(activation: Activation, slopes: np.ndarray | None, is_missing: bool, run: Run) -> Run:
    """Adds the activation, where the convolution does not have it."""
    if slopes is not None:
        weights = torch.from_numpy(slopes)
        return lambda image: torch.prelu(run(image), weights)
    if is_missing and activation.slope is not None:
        return lambda image: torch.nn.functional.leaky_relu_(run(image), activation.slope)
    if is_missing and activation.curve is not None:
        curve = CURVES[activation.curve][1]
        return lambda image: curve(run(image))
    if is_missing and not activation.is_none:
        return lambda image: run(image).clamp_(*activation.bounds)
    return run


def prepare(workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    torch.set_num_threads(threads)
    stage = workload.depthwise
    given = {n: torch.from_numpy(tensors[n]) for n in ("input", "residual") if n in tensors}
    is_nhwc = workload.layout == "nhwc"
    if is_nhwc:
        given = {name: tensor.permute(0, 3, 1, 2) for name, tensor in given.items()}
    image = given["input"]
    top, left, bottom, right = stage.padding
    is_even = (top, left) == (bottom, right)
    if not is_even:
        uneven = (left, right, top, bottom)
        image = torch.nn.functional.pad(image, uneven)
    padding = (top, left) if is_even else (0, 0)
    window = Window(stage.stride, padding, stage.dilation, workload.channels)
    first = convolution("depthwise", tensors, window, image, stage.activation)
    middle = first(image)
    residual = given.get("residual")
    second = convolution(
        "pointwise", tensors, Window(), middle, workload.pointwise.activation, residual
    )
    output = [second(middle)]

    def run() -> None:
        image = given["input"]
        if not is_even:
            image = torch.nn.functional.pad(image, uneven)
        output[0] = second(first(image))

    def last() -> np.ndarray:
        return (output[0].permute(0, 2, 3, 1) if is_nhwc else output[0]).numpy()

    return Prepared(calls(run), last)


if __name__ == "__main__":
    with torch.inference_mode():
        serve(torch.__version__, prepare)
