"""PyTorch: a frozen TorchScript module, whose convolutions go to oneDNN with weights prepared.

Every run allocates its output. In NHWC, tensors are of the memory format `channels_last`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from contestants.protocol import Prepared, calls, serve
from workload import Activation, Tensors, Workload


class Block(nn.Module):
    def __init__(self, workload: Workload, tensors: Tensors) -> None:
        super().__init__()
        stage, tail = workload.depthwise, workload.pointwise
        top, left, bottom, right = stage.padding
        is_even = (top, left) == (bottom, right)
        self.pad = nn.Identity() if is_even else nn.ZeroPad2d((left, right, top, bottom))
        self.depthwise = nn.Conv2d(
            workload.channels,
            workload.middle_channels,
            stage.kernel,
            stage.stride,
            (top, left) if is_even else 0,
            stage.dilation,
            groups=workload.channels,
            bias=stage.bias,
        )
        self.pointwise = nn.Conv2d(workload.middle_channels, tail.channels, 1, bias=tail.bias)
        for name in ("depthwise", "pointwise"):
            convolution = getattr(self, name)
            weights = torch.from_numpy(tensors[name]).view(convolution.weight.shape)
            convolution.weight = nn.Parameter(weights)
            if convolution.bias is not None:
                convolution.bias = nn.Parameter(torch.from_numpy(tensors[name + "_bias"]))
        self.middle = activation(stage.activation, tensors.get("depthwise_slopes"))
        self.last = activation(tail.activation, tensors.get("pointwise_slopes"))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.pointwise(self.middle(self.depthwise(self.pad(image)))))


class ResidualBlock(Block):
    def forward(self, image: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        middle = self.middle(self.depthwise(self.pad(image)))
        return self.last(self.pointwise(middle) + residual)


def activation(activation: Activation, slopes: np.ndarray | None) -> nn.Module:
    if slopes is not None:
        module = nn.PReLU(len(slopes))
        module.weight = nn.Parameter(torch.from_numpy(slopes))
        return module
    if activation.is_none:
        return nn.Identity()
    low, high = activation.bounds
    return nn.ReLU() if (low, high) == (0.0, math.inf) else nn.Hardtanh(low, high)


def prepare(workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    torch.set_num_threads(threads)
    is_nhwc = workload.layout == "nhwc"
    given = ["input", "residual"] if workload.pointwise.residual else ["input"]
    inputs = [torch.from_numpy(tensors[name]) for name in given]
    if is_nhwc:
        inputs = [tensor.permute(0, 3, 1, 2) for tensor in inputs]
    module = (ResidualBlock if workload.pointwise.residual else Block)(workload, tensors).eval()
    if is_nhwc:
        module = module.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        frozen = torch.jit.optimize_for_inference(torch.jit.trace(module, inputs))
    output: list[torch.Tensor] = []

    def run() -> None:
        output[:] = [frozen(*inputs)]

    def last() -> np.ndarray:
        return (output[0].permute(0, 2, 3, 1) if is_nhwc else output[0]).numpy()

    return Prepared(calls(run), last)


if __name__ == "__main__":
    with torch.inference_mode():
        serve(torch.__version__, prepare)
