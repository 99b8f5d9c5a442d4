"""How the race and a contestant speak: a line for a request, a line for the answer.

    (start)                        hello VERSION
    prepare THREADS WORKLOAD       ready NOTE | unsupported WHY | failed WHY
    time MILLISECONDS              times US US US ...

`prepare` reads the workload's tensors from the current folder (raw little-endian floats, such as
`input.f32`) and writes the output of a first run to `output.f32` there. `time` warms up with two
runs, then samples; a sample lasts 50 us at least and is given as microseconds per run. Each
contestant is a process, so that threads that wait for work, and crashes, stay its own.

`src/main.rs` is the same for this project.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workload import Tensors, Unsupported, Workload, parse, read_tensors

SAMPLE_NS = 50_000
LEAST_SAMPLES = 3


@dataclass
class Prepared:
    """A block that is ready to run, again and again, on the same buffers."""

    sample: Callable[[int], int]
    """Runs so many times; returns the nanoseconds that took."""
    output: Callable[[], np.ndarray]
    """The output of the last run, in the workload's layout."""
    note: str = ""
    tensors: Tensors = field(default_factory=dict)
    """Kept alive: libraries read them where they are."""


Prepare = Callable[[Workload, Tensors, int], Prepared]


def calls(run: Callable[[], object]) -> Callable[[int], int]:
    """Samples of a Python function."""

    def sample(repeats: int) -> int:
        start = time.perf_counter_ns()
        for _ in range(repeats):
            run()
        return time.perf_counter_ns() - start

    return sample


def serve(version: str, prepare: Prepare) -> None:
    """Answers requests until there are no more."""
    # Libraries print what they please: only answers go to the pipe.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.disable()
    print("hello", version, file=answers)
    prepared: Prepared | None = None
    for line in sys.stdin:
        request, _, rest = line.strip().partition(" ")
        try:
            if request == "prepare":
                prepared = None  # frees the last block first
                gc.collect()
                prepared = prepare_block(prepare, rest)
                answer = f"ready {prepared.note}"
            elif request == "time" and prepared is not None:
                answer = " ".join(["times", *(f"{us:.4f}" for us in times(prepared, int(rest)))])
            else:
                answer = f"failed no such request: {request}"
        except Unsupported as why:
            answer = f"unsupported {why}"
        except Exception as why:  # whatever a library raises is its answer
            answer = f"failed {type(why).__name__}: {' '.join(str(why).split())}"
        print(answer, file=answers)


def prepare_block(prepare: Prepare, request: str) -> Prepared:
    threads, text = request.split(" ", 1)
    workload = parse(text)
    tensors = read_tensors(workload, Path.cwd())
    prepared = prepare(workload, tensors, int(threads))
    prepared.tensors = tensors
    prepared.sample(1)
    np.ascontiguousarray(prepared.output(), "<f4").tofile("output.f32")
    return prepared


def times(prepared: Prepared, milliseconds: int) -> list[float]:
    """Microseconds per run, a number a sample."""
    prepared.sample(1)
    repeats = SAMPLE_NS // max(1, prepared.sample(1)) + 1
    until = time.perf_counter_ns() + milliseconds * 1_000_000
    samples: list[float] = []
    while len(samples) < LEAST_SAMPLES or time.perf_counter_ns() < until:
        samples.append(prepared.sample(repeats) / repeats / 1e3)
    return samples
