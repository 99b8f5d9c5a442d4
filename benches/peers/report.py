"""What the race comes to: tables, JSON, records as CSV, a plot."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from environment import PROJECT
from race import Race, Result

COLUMNS = (
    "time",
    "block",
    "workload",
    "threads",
    "contestant",
    "version",
    "min_us",
    "median_us",
    "to_best_peer",
    "percent_of_peak",
    "error",
    "note",
)


def percent_of_peak(race: Race, us: float) -> float:
    return 100.0 * race.workload.flops / us / 1e3 / race.peak_gflops


def time_us(race: Race, name: str) -> float | None:
    """The best time of a contestant, if it has one."""
    return race.results[name].min_us if name in race.results else None


def share(race: Race, name: str) -> float | None:
    """What percentage of the peak a contestant reaches."""
    us = time_us(race, name)
    return None if us is None else percent_of_peak(race, us)


def best_peer(race: Race) -> tuple[str, float] | None:
    peers = {name: result.min_us for name, result in race.results.items() if name != PROJECT}
    timed = [(name, us) for name, us in peers.items() if us is not None]
    return min(timed, key=lambda peer: peer[1], default=None)


def to_best_peer(race: Race, result: Result) -> float | None:
    """How many times as fast as the best peer."""
    best = best_peer(race)
    return best[1] / result.min_us if best and result.min_us else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of the values that there are."""
    logarithms = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def groups(races: list[Race]) -> dict[tuple[str, int], list[Race]]:
    """Races by layout and threads."""
    grouped: dict[tuple[str, int], list[Race]] = {}
    for race in races:
        grouped.setdefault((race.workload.layout, race.threads), []).append(race)
    return grouped


def contestants(races: list[Race]) -> list[str]:
    """Those that know some block of the races, this project first."""
    names = {
        name: None for race in races for name, result in race.results.items() if result.is_supported
    }
    return sorted(names, key=lambda name: name != PROJECT)


def table(races: list[Race]) -> str:
    """One table of races that share layout and threads."""
    names = contestants(races)
    header = ["block", *names, "best peer", f"best peer/{PROJECT}"]
    rows = [[race.block, *cells(race, names)] for race in races]
    rows.append(["geometric mean", *means(races, names)])
    lines = aligned([header, *rows])
    peak = max(race.peak_gflops for race in races)
    head = f"{title(races)}: best us (% of the FMA peak, {peak:.0f} GFLOP/s)"
    return "\n".join([head, *lines])


def cells(race: Race, names: list[str]) -> list[str]:
    times = []
    for name in names:
        result, us = race.results.get(name), time_us(race, name)
        if us is not None:
            times.append(f"{us:.1f} ({percent_of_peak(race, us):3.0f})")
        elif result is None or not result.is_supported:
            times.append("-")
        else:
            times.append(result.failure.split(":")[0])
    best, project = best_peer(race), race.results.get(PROJECT)
    ratio = to_best_peer(race, project) if project else None
    return [*times, best[0] if best else "-", f"{ratio:.2f}" if ratio else "-"]


def means(races: list[Race], names: list[str]) -> list[str]:
    """Of the shares of the peak, and of the ratios; over the blocks that have them."""
    means = [geometric_mean(share(race, name) for race in races) for name in names]
    ratios = [
        to_best_peer(race, race.results[PROJECT]) for race in races if PROJECT in race.results
    ]
    ratio = geometric_mean(ratios)
    shares = [f"({mean:3.0f})" if mean else "-" for mean in means]
    return [*shares, "", f"{ratio:.2f}" if ratio else "-"]


def aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def failures(races: list[Race]) -> list[str]:
    """What went wrong, a line each."""
    return [
        f"{race.block} {race.workload.layout} on {race.threads}: {name}: {result.failure}"
        for race in races
        for name, result in race.results.items()
        if result.failure
    ]


def records(races: list[Race], started: datetime) -> list[dict[str, object]]:
    """A row for each result."""
    rows: list[dict[str, object]] = []
    for race in races:
        for result in race.results.values():
            if not result.is_supported:
                continue
            us, ratio = result.min_us, to_best_peer(race, result)
            values = (
                started.isoformat(timespec="seconds"),
                race.block,
                race.workload.text,
                race.threads,
                result.contestant,
                result.version,
                rounded(us, 3),
                rounded(result.median_us, 3),
                rounded(ratio, 4),
                rounded(percent_of_peak(race, us) if us else None, 2),
                f"{result.error:.1e}" if result.error is not None else None,
                result.failure or result.note,
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    """Adds rows to a file of records, which is made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def write_json(
    path: Path, races: list[Race], rows: list[dict[str, object]], facts: dict[str, object]
) -> None:
    """Everything of a run: the facts, and the rows that the CSV file gets."""
    peaks = {str(race.threads): race.peak_gflops for race in races}
    path.write_text(json.dumps({**facts, "peak_gflops": peaks, "results": rows}, indent=1) + "\n")


def plot(path: Path, races: list[Race]) -> None:
    """Share of the peak of every contestant on every block, a panel for layout and threads."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = groups(races)
    blocks = max(len(group) for group in panels.values())
    size = (max(6.0, 0.45 * blocks + 3), 3.2 * len(panels))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    names = contestants(races)
    for axis, group in zip(axes, panels.values(), strict=True):
        for color, name in enumerate(names):
            points = [
                (index, percent)
                for index, race in enumerate(group)
                if (percent := share(race, name)) is not None
            ]
            width = 7 if name == PROJECT else 5
            if points:
                axis.plot(*zip(*points, strict=True), "o", color=f"C{color}", markersize=width)
        axis.set_xticks(range(len(group)), [race.block for race in group], rotation=60, ha="right")
        axis.set_ylim(0, 105)
        axis.set_ylabel("% of FMA peak")
        axis.set_title(title(group))
        axis.grid(axis="y", alpha=0.3)
    handles = [
        Line2D([], [], color=f"C{color}", marker="o", linestyle="", label=name)
        for color, name in enumerate(names)
    ]
    figure.legend(handles=handles, loc="outside right upper")
    figure.savefig(path, dpi=120)


def title(races: list[Race]) -> str:
    """Of races that share layout and threads."""
    threads = races[0].threads
    return f"{races[0].workload.layout.upper()}, {threads} thread{'s' if threads > 1 else ''}"
