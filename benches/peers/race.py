"""The race: every contestant as a process, verified and timed in turn, block by block."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

import reference
from environment import HERE, Environment
from workload import Workload, parse, random_tensors, write_tensors

PATIENCE_S = 60
"""Longest time for an answer."""
PIXEL = "f32 nchw 1x1x1x1 dw:1x1 pw:1"
"""A block so small that its time is the cost of a call."""


class Lost(Exception):
    """A contestant's process does not answer, or answers that it failed."""


@dataclass
class Result:
    """What became of one contestant on one block."""

    contestant: str
    version: str
    min_us: float | None = None
    median_us: float | None = None
    error: float | None = None
    """Of the output, as `reference.error` gives it."""
    note: str = ""
    """What the contestant says of how it computes the block."""
    failure: str = ""
    """Why it has no time, or less of it."""
    is_supported: bool = True

    @property
    def is_right(self) -> bool:
        return self.error is not None and self.error <= reference.TOLERANCE


@dataclass
class Race:
    """One block, in one layout, on so many threads."""

    block: str
    workload: Workload
    threads: int
    peak_gflops: float
    """The best so far; `settle` makes it the best of the run."""
    results: dict[str, Result] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    rounds: int
    turn_ms: int
    seed: int = 0


class Contestant:
    """A process and the pipe to it."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.command, self.folder = name, command, folder
        self.start()

    def start(self) -> None:
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        assert self.process.stdin and self.process.stdout, "both are pipes"
        self.requests, self.answers = self.process.stdin, self.process.stdout
        self.version = self.answer()[1]

    def ask(self, request: str) -> tuple[str, str]:
        """Kind and rest of the answer."""
        try:
            self.requests.write(request.encode() + b"\n")
            self.requests.flush()
        except OSError:
            pass  # the missing answer says more
        return self.answer()

    def answer(self) -> tuple[str, str]:
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            if not selector.select(PATIENCE_S):
                self.close()
                raise Lost(f"no answer in {PATIENCE_S} s")
        line = self.answers.readline().decode().strip()
        if not line:
            raise Lost(self.last_words())
        kind, _, rest = line.partition(" ")
        if kind == "failed":
            raise Lost(rest)
        return kind, rest

    def last_words(self) -> str:
        code = self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"ended with {code}")

    def restart(self) -> None:
        """After a crash; a process that only failed goes on."""
        if self.process.poll() is not None:
            self.start()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Arena:
    """The contestants, and the folder through which they get tensors."""

    def __init__(self, environment: Environment, folder: Path, rules: Rules) -> None:
        self.rules, self.folder, self.project = rules, folder, environment.project
        self.contestants: list[Contestant] = []
        self.missing = dict(environment.missing)
        self.peaks: dict[int, float] = {}
        for name, command in environment.commands.items():
            try:
                self.contestants.append(Contestant(name, command, folder))
            except (Lost, OSError) as why:
                self.missing[name] = str(why)

    def close(self) -> None:
        for contestant in self.contestants:
            contestant.close()

    @property
    def cpu(self) -> str:
        """The name of this CPU model, as the project's cache files have it."""
        return self.tell("cpu")

    def tell(self, *arguments: str) -> str:
        told = subprocess.run(
            [self.project, *arguments], capture_output=True, text=True, check=True
        )
        return told.stdout.strip()

    def measure_peak(self, threads: int) -> None:
        """Measures the FMA peak once more: the best so far is the machine's."""
        peak = float(self.tell("peak", str(threads)))
        self.peaks[threads] = max(peak, self.peaks.get(threads, 0.0))

    def race(self, block: str, workload: Workload, threads: int) -> Race:
        """Verifies the contestants on a workload, then times the right ones in turn."""
        tensors = random_tensors(workload, self.rules.seed)
        expected = reference.run(workload, tensors)
        write_tensors(tensors, self.folder)
        self.measure_peak(threads)
        results = {}
        for contestant in self.contestants:
            results[contestant.name] = self.prepare(contestant, workload, threads, expected)
        samples: dict[str, list[float]] = {}
        for _ in range(self.rules.rounds):
            for contestant in self.contestants:
                result = results[contestant.name]
                if result.is_right:
                    samples.setdefault(contestant.name, []).extend(self.turn(contestant, result))
        for name, times in samples.items():
            if times:
                results[name].min_us, results[name].median_us = min(times), median(times)
        return Race(block, workload, threads, self.peaks[threads], results)

    def prepare(
        self, contestant: Contestant, workload: Workload, threads: int, expected: np.ndarray
    ) -> Result:
        result = Result(contestant.name, contestant.version)
        output = self.folder / "output.f32"
        output.unlink(missing_ok=True)
        try:
            contestant.restart()
            kind, result.note = contestant.ask(f"prepare {threads} {workload.text}")
            if kind == "unsupported":
                result.is_supported = False
                return result
            values = np.fromfile(output, "<f4").reshape(workload.output_shape)
            result.error = reference.error(values, expected)
            if not result.is_right:
                result.failure = f"wrong: error {result.error:.1e}"
        except (Lost, OSError, ValueError) as why:
            result.failure = f"failed: {why}"
        return result

    def turn(self, contestant: Contestant, result: Result) -> list[float]:
        try:
            _, times = contestant.ask(f"time {self.rules.turn_ms}")
            return [float(us) for us in times.split()]
        except Lost as why:
            result.failure, result.error = f"failed: {why}", None
            return []

    def overheads(self) -> dict[str, float]:
        """Microseconds of a call: a block of one pixel, on one thread."""
        workload = parse(PIXEL)
        found: dict[str, float] = {}
        for layout in ("nchw", "nhwc"):
            for name, result in self.race("call", workload.with_layout(layout), 1).results.items():
                if result.min_us is not None:
                    found[name] = min(result.min_us, found.get(name, result.min_us))
        return found


def run(
    arena: Arena,
    blocks: dict[str, Workload],
    layouts: list[str],
    threads: list[int],
    tell: Callable[[str], None],
) -> Iterator[Race]:
    """Every block in every layout on every number of threads."""
    total = len(blocks) * len(layouts) * len(threads)
    done = 0
    for count in threads:
        for layout in layouts:
            for name, workload in blocks.items():
                done += 1
                tell(f"[{done}/{total}] {name} {layout}, threads: {count}")
                yield arena.race(name, workload.with_layout(layout), count)


def settle(arena: Arena, races: list[Race]) -> None:
    """Relates all races to the same peak."""
    for race in races:
        race.peak_gflops = arena.peaks[race.threads]
