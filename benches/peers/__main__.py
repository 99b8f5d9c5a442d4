"""Times depthwise-separable blocks in dsconv and in other libraries, in one run.

The first start makes a virtual environment, installs the peers from pinned requirements and builds
what is to be built; a peer that cannot be had is reported and left out. Every contestant is a
process of its own, gets the same tensors, is compared with NumPy at 64 bits, and then takes turns
with the others. All compute in 32 bits, with weights prepared and activations fused, on buffers
that stay where they are. In NCHW and NHWC, input and output have that layout; what a library
converts inside is part of its time.

dsconv runs by the schedules of the user's cache, else untuned; tune before to compare tuned blocks.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import environment

BUSY = 0.5
"""Load of a machine, in processes that want to run, on which a second thread has to wait."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 benches/peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    peers = [peer for peer in environment.PACKAGES if peer not in environment.OPTIONAL]
    add = parser.add_argument
    add("--blocks", type=names, metavar="NAME,…", help="only these blocks")
    add(
        "--file",
        type=Path,
        default=environment.REPOSITORY / "benches" / "blocks.toml",
        metavar="FILE",
        help="names and workloads (default: benches/blocks.toml)",
    )
    add(
        "--peers",
        type=names,
        default=peers,
        metavar="NAME,…",
        help=f"of {', '.join(environment.PACKAGES)} (default: all but torch, which is large)",
    )
    add(
        "--layouts",
        type=names,
        default=["nchw", "nhwc"],
        metavar="NAME,…",
        help="nchw, nhwc (default: both)",
    )
    add("--threads", type=numbers, default=[1, 2], metavar="N,…", help="default: 1,2")
    add("--rounds", type=int, default=6, metavar="N", help="turns of each contestant (default: 6)")
    add("--turn-ms", type=int, default=50, metavar="MS", help="length of a turn (default: 50)")
    add("--json", type=Path, metavar="FILE", help="write everything to a file")
    add("--plot", type=Path, metavar="FILE", help="draw shares of the FMA peak (.png, .svg, .pdf)")
    add("--no-record", action="store_true", help="add no rows to benches/record/<cpu>/<date>.csv")
    add(
        "--environment",
        type=Path,
        default=environment.REPOSITORY / "target" / "peers",
        metavar="FOLDER",
        help="of the virtual environment (default: target/peers)",
    )
    given = parser.parse_args()
    for choices, known in ((given.peers, environment.PACKAGES), (given.layouts, ("nchw", "nhwc"))):
        if unknown := [name for name in choices if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    if not given.file.is_file():
        parser.error(f"no such file: {given.file}")
    return given


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> int:
    given = arguments()
    environment.enter(given.environment)
    # These need the packages of the environment.
    import race
    import report
    import workload

    started, load = datetime.now(UTC), os.getloadavg()[0]
    if load > BUSY:
        tell(
            f"warning: the machine is busy (load {load:.1f}), times on several threads mean little"
        )
    blocks, left_out = workload.read_blocks(given.file, given.blocks)
    for name, why in left_out.items():
        tell(f"without block {name}: {why}")
    installed = environment.install(given.peers)
    rules = race.Rules(given.rounds, given.turn_ms)
    overheads: dict[str, float] = {}
    races: list[race.Race] = []
    with tempfile.TemporaryDirectory(prefix="peers") as folder:
        arena = race.Arena(installed, Path(folder), rules)
        try:
            for name, why in arena.missing.items():
                tell(f"without {name}: {why}")
            overheads = arena.overheads()
            for done in race.run(arena, blocks, given.layouts, given.threads, tell):
                races.append(done)
        except KeyboardInterrupt:
            tell(f"interrupted: {len(races)} races are reported")
        finally:
            arena.close()
    if not races:
        return 1
    race.settle(arena, races)
    for group in report.groups(races).values():
        print(report.table(group), end="\n\n")
    print("call overhead, us:", ", ".join(f"{name} {us:.2f}" for name, us in overheads.items()))
    for failure in report.failures(races):
        print(failure)
    rows = report.records(races, started)
    facts: dict[str, object] = {
        "cpu": arena.cpu,
        "load_before": load,
        "overhead_us": overheads,
        "missing": arena.missing,
    }
    if given.json:
        report.write_json(given.json, races, rows, facts)
    if given.plot:
        report.plot(given.plot, races)
    if not given.no_record:
        record = environment.REPOSITORY / "benches" / "record" / arena.cpu
        report.write_csv(record / f"{started.date()}.csv", rows)
    return 0


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
