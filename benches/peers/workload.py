"""Workloads: the text form of `dsconv`, and the shapes and tensors that follow from it.

f32 nchw 1x32x112x112 dw:3x3,s2,p0/0/1/1,bias,relu6 pw:64,bias
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

Pair = tuple[int, int]
Tensors = dict[str, np.ndarray]

UNBOUNDED = (-math.inf, math.inf)
BOUNDS = {"none": UNBOUNDED, "relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
CURVES = ("hard_swish", "hard_sigmoid", "silu", "sigmoid", "gelu_tanh")


class Unsupported(Exception):
    """A contestant cannot compute a workload."""


@dataclass(frozen=True)
class Activation:
    """One of: limits of an output; a slope of its negative part, for all channels (leaky relu) or
    for each (prelu); a curve."""

    bounds: tuple[float, float] = UNBOUNDED
    has_slopes: bool = False
    slope: float | None = None
    curve: str | None = None
    """Of `CURVES`."""

    @property
    def is_none(self) -> bool:
        return self == Activation()


@dataclass(frozen=True)
class Depthwise:
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]
    """Top, left, bottom, right."""
    multiplier: int
    bias: bool
    activation: Activation


@dataclass(frozen=True)
class Pointwise:
    channels: int
    bias: bool
    residual: bool
    activation: Activation


@dataclass(frozen=True)
class Workload:
    """A block of both stages."""

    layout: str
    batch: int
    channels: int
    extent: Pair
    depthwise: Depthwise
    pointwise: Pointwise
    stages: str
    """The text from the shape on, which no layout changes."""

    @property
    def text(self) -> str:
        return f"f32 {self.layout} {self.stages}"

    def with_layout(self, layout: str) -> Workload:
        return replace(self, layout=layout)

    @property
    def middle_channels(self) -> int:
        return self.channels * self.depthwise.multiplier

    @property
    def output_extent(self) -> Pair:
        stage = self.depthwise
        top, left, bottom, right = stage.padding
        padded = (self.extent[0] + top + bottom, self.extent[1] + left + right)
        rows, cols = (
            (padded[axis] - stage.dilation[axis] * (stage.kernel[axis] - 1) - 1)
            // stage.stride[axis]
            + 1
            for axis in (0, 1)
        )
        return rows, cols

    @property
    def flops(self) -> int:
        """Two for each multiply-add, none for the epilogues."""
        taps = math.prod(self.depthwise.kernel)
        pixels = self.batch * math.prod(self.output_extent)
        return 2 * pixels * self.middle_channels * (taps + self.pointwise.channels)

    def shape(self, channels: int, extent: Pair) -> tuple[int, int, int, int]:
        """Of an activation tensor in memory."""
        if self.layout == "nchw":
            return self.batch, channels, *extent
        return self.batch, *extent, channels

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that the workload calls for; weights are `[C * M][R][S]` and `[K][C * M]`."""
        middle, outputs = self.middle_channels, self.pointwise.channels
        needed = {
            "input": self.shape(self.channels, self.extent),
            "depthwise": (middle, *self.depthwise.kernel),
            "depthwise_bias": (middle,) if self.depthwise.bias else None,
            "depthwise_slopes": (middle,) if self.depthwise.activation.has_slopes else None,
            "pointwise": (outputs, middle),
            "pointwise_bias": (outputs,) if self.pointwise.bias else None,
            "pointwise_slopes": (outputs,) if self.pointwise.activation.has_slopes else None,
            "residual": self.output_shape if self.pointwise.residual else None,
        }
        return {name: shape for name, shape in needed.items() if shape is not None}

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        return self.shape(self.pointwise.channels, self.output_extent)


def parse(text: str) -> Workload:
    """Reads the text form; refuses what the contestants could not all be given."""
    tokens = text.split(" ")
    if len(tokens) != 5 or not tokens[3].startswith("dw:") or not tokens[4].startswith("pw:"):
        raise Unsupported(f"not a block of both stages: {text}")
    element, layout, shape, depthwise, pointwise = tokens
    if element != "f32" or layout not in ("nchw", "nhwc"):
        raise Unsupported(f"element type or layout: {text}")
    batch, channels, rows, cols = (int(size) for size in shape.split("x"))
    return Workload(
        layout,
        batch,
        channels,
        (rows, cols),
        parse_depthwise(depthwise.removeprefix("dw:").split(",")),
        parse_pointwise(pointwise.removeprefix("pw:").split(",")),
        " ".join(tokens[2:]),
    )


def read_blocks(file: Path, chosen: list[str] | None) -> tuple[dict[str, Workload], dict[str, str]]:
    """Blocks of a TOML file by name, all or the chosen; and which are left out, and why."""
    lines = tomllib.loads(file.read_text())
    blocks, left_out = {}, {}
    for name in chosen or lines:
        try:
            blocks[name] = parse(lines[name])
        except KeyError:
            left_out[name] = f"not in {file}"
        except Unsupported as why:
            left_out[name] = str(why)
    return blocks, left_out


def parse_depthwise(parts: list[str]) -> Depthwise:
    rows, cols = (int(size) for size in parts.pop(0).split("x"))
    return Depthwise(
        kernel=(rows, cols),
        stride=take_pair(parts, "s"),
        dilation=take_pair(parts, "d"),
        padding=take_padding(parts),
        multiplier=int(take(parts, r"m(\d+)") or 1),
        bias=take(parts, "(bias)") is not None,
        activation=take_activation(parts),
    )


def parse_pointwise(parts: list[str]) -> Pointwise:
    return Pointwise(
        channels=int(parts.pop(0)),
        bias=take(parts, "(bias)") is not None,
        residual=take(parts, "(residual)") is not None,
        activation=take_activation(parts),
    )


def take(parts: list[str], pattern: str) -> str | None:
    """The first part if it fits, which it is then no longer."""
    match = re.fullmatch(pattern, parts[0]) if parts else None
    if match is None:
        return None
    parts.pop(0)
    return match[1]


def take_pair(parts: list[str], letter: str) -> Pair:
    sizes = (take(parts, letter + r"(\d+(?:x\d+)?)") or "1").split("x")
    return int(sizes[0]), int(sizes[-1])


def take_padding(parts: list[str]) -> tuple[int, int, int, int]:
    sides = [int(side) for side in (take(parts, r"p(\d+(?:/\d+){3}|\d+)") or "0").split("/")]
    top, left, bottom, right = sides if len(sides) == 4 else sides * 4
    return top, left, bottom, right


def take_activation(parts: list[str]) -> Activation:
    """What is left."""
    name = ",".join(parts) or "none"
    if name == "prelu":
        return Activation(has_slopes=True)
    if leaky := re.fullmatch(r"leaky_relu\((.+)\)", name):
        return Activation(slope=float(leaky[1]))
    if name in CURVES:
        return Activation(curve=name)
    if clamp := re.fullmatch(r"clamp\((.+):(.+)\)", name):
        return Activation((float(clamp[1]), float(clamp[2])))
    if name not in BOUNDS:
        raise Unsupported(f"`{name}` in a stage")
    return Activation(BOUNDS[name])


def random_tensors(workload: Workload, seed: int) -> Tensors:
    """Values around zero, weights scaled so that outputs are of the input's magnitude."""
    random = np.random.default_rng(seed)
    scales = {
        "depthwise": math.prod(workload.depthwise.kernel) ** -0.5,
        "pointwise": workload.middle_channels**-0.5,
    }
    return {
        name: (random.standard_normal(shape) * scales.get(name, 1.0)).astype("<f4")
        for name, shape in workload.shapes.items()
    }


def write_tensors(tensors: Tensors, folder: Path) -> None:
    """Raw little-endian floats, a file a tensor, and no files of other workloads."""
    for stale in folder.glob("*.f32"):
        stale.unlink()
    for name, tensor in tensors.items():
        tensor.tofile(folder / f"{name}.f32")


def read_tensors(workload: Workload, folder: Path) -> Tensors:
    tensors = {name: aligned(shape) for name, shape in workload.shapes.items()}
    for name, tensor in tensors.items():
        tensor.reshape(-1)[:] = np.fromfile(folder / f"{name}.f32", "<f4")
    return tensors


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that start with a cache line, as tensors that a library allocates do."""
    size, line = math.prod(shape) * 4, 64
    memory = np.zeros(size + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : start + size].view(np.float32).reshape(shape)
