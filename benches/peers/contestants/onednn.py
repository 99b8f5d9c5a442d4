"""oneDNN: `onednn.cpp` prepares a block and times its runs; this hands it the tensors.

The first argument is the shared library that was built from it.
"""

from __future__ import annotations

import ctypes
import sys

from contestants.protocol import Prepared, serve
from workload import Activation as Given
from workload import Tensors, Unsupported, Workload, aligned

Sizes = ctypes.c_int64 * 2
Bounds = ctypes.c_float * 2
Floats = ctypes.POINTER(ctypes.c_float)

CURVES = ("none", "leaky_relu", "hard_swish", "hard_sigmoid", "silu", "sigmoid", "gelu_tanh")
"""The activations that are no limits, in the order of `onednn.cpp`'s `Curve`."""


class Activation(ctypes.Structure):
    _fields_ = (("curve", ctypes.c_int64), ("bounds", Bounds), ("slope", ctypes.c_float))


class Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "channels", "middle", "outputs")),
        *((name, Sizes) for name in ("input", "output", "kernel", "stride", "dilation")),
        *((name, Sizes) for name in ("before", "after")),
        *((name, Activation) for name in ("between", "last")),
    )


BUFFERS = (
    "input",
    "depthwise",
    "depthwise_bias",
    "depthwise_slopes",
    "pointwise",
    "pointwise_bias",
    "pointwise_slopes",
    "residual",
    "output",
)


class Buffers(ctypes.Structure):
    _fields_ = tuple((name, Floats) for name in BUFFERS)


def load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.block_version.restype = ctypes.c_char_p
    library.block_error.restype = ctypes.c_char_p
    library.block_new.restype = ctypes.c_void_p
    library.block_implementations.restype = ctypes.c_char_p
    library.block_implementations.argtypes = [ctypes.c_void_p]
    library.block_run.restype = ctypes.c_int64
    library.block_run.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.block_delete.argtypes = [ctypes.c_void_p]
    return library


def described(workload: Workload) -> Shape:
    stage = workload.depthwise
    rows, cols = workload.output_extent
    top, left, _, _ = stage.padding
    # oneDNN wants to know of the far sides only what the last windows read.
    after = (
        (extent - 1) * stage.stride[axis]
        + stage.dilation[axis] * (stage.kernel[axis] - 1)
        + 1
        - workload.extent[axis]
        - stage.padding[axis]
        for axis, extent in enumerate((rows, cols))
    )
    return Shape(
        workload.batch,
        workload.channels,
        workload.middle_channels,
        workload.pointwise.channels,
        Sizes(*workload.extent),
        Sizes(rows, cols),
        Sizes(*stage.kernel),
        Sizes(*stage.stride),
        Sizes(*stage.dilation),
        Sizes(top, left),
        Sizes(*after),
        activation(stage.activation),
        activation(workload.pointwise.activation),
    )


def activation(given: Given) -> Activation:
    curve = "leaky_relu" if given.slope is not None else given.curve or "none"
    return Activation(CURVES.index(curve), Bounds(*given.bounds), given.slope or 0.0)


class Block:
    """Owns what the library prepared, and the arrays it reads."""

    def __init__(
        self, library: ctypes.CDLL, workload: Workload, tensors: Tensors, threads: int
    ) -> None:
        self.library = library
        self.output = aligned(workload.output_shape)
        self.arrays = {**tensors, "output": self.output}
        pointers = (
            self.arrays[name].ctypes.data_as(Floats) if name in self.arrays else None
            for name in BUFFERS
        )
        shape, buffers = described(workload), Buffers(*pointers)
        self.handle = library.block_new(
            ctypes.byref(shape), ctypes.byref(buffers), workload.layout == "nhwc", threads
        )
        if not self.handle:
            raise Unsupported(library.block_error().decode())

    def sample(self, repeats: int) -> int:
        return self.library.block_run(self.handle, repeats)

    def __del__(self) -> None:
        if self.handle:
            self.library.block_delete(self.handle)


def prepare(library: ctypes.CDLL, workload: Workload, tensors: Tensors, threads: int) -> Prepared:
    block = Block(library, workload, tensors, threads)
    note = library.block_implementations(block.handle).decode()
    return Prepared(block.sample, lambda: block.output, note)


def main() -> None:
    library = load(sys.argv[1])
    serve(library.block_version().decode(), lambda *block: prepare(library, *block))


if __name__ == "__main__":
    main()
