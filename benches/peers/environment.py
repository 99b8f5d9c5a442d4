"""Everything the race needs, in a virtual environment of its own: packages, oneDNN, this project.

What cannot be had is left out with the reason, except this project and NumPy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PROJECT = "dsconv"
"""The contestant that is no peer."""

PACKAGES = {
    "onnxruntime": "onnxruntime",
    "onnxruntime_nchw": "onnxruntime",
    "openvino": "openvino",
    "litert": "litert",
    "onednn": "onednn",
    "torch": "torch",
}
"""Peers, and the file of `requirements` each needs."""
OPTIONAL = {"torch"}


@dataclass
class Environment:
    """Commands of the contestants that could be installed; of the others, why not."""

    project: Path
    commands: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def enter(folder: Path) -> None:
    """Goes on in the virtual environment of a folder, which is made if there is none."""
    if Path(sys.prefix).resolve() == folder.resolve():
        return
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    if why := pip(python, "common"):
        raise SystemExit(f"error: {why}")
    os.execv(python, [str(python), str(HERE), *sys.argv[1:]])


def install(peers: list[str]) -> Environment:
    """Installs peers into the environment that this runs in, and builds what is to be built."""
    environment = Environment(build_project())
    environment.commands[PROJECT] = [str(environment.project)]
    for peer in peers:
        print(f"installing {peer}", file=sys.stderr)
        why = pip(Path(sys.executable), PACKAGES[peer])
        library = Path(sys.prefix) / "onednn_block.so"
        if peer == "onednn" and not why:
            why = build_onednn(library)
        if why:
            environment.missing[peer] = why
        else:
            environment.commands[peer] = command(peer, library)
    return environment


def command(peer: str, onednn: Path) -> list[str]:
    """What starts a peer's process."""
    arguments = {
        "onnxruntime": ["onnx_runtime", "all"],
        "onnxruntime_nchw": ["onnx_runtime", "extended"],
        "openvino": ["open_vino"],
        "litert": ["lite_rt"],
        "onednn": ["onednn", str(onednn)],
        "torch": ["pytorch"],
    }
    module, *rest = arguments[peer]
    return [sys.executable, "-m", f"contestants.{module}", *rest]


def pip(python: Path, requirements: str) -> str | None:
    """Installs a file of requirements; returns why not. What is there already is not downloaded."""
    files = {name: HERE / "requirements" / f"{name}.txt" for name in ("constraints", requirements)}
    wanted = ["-c", str(files["constraints"]), "-r", str(files[requirements])]
    options = ["--quiet", "--disable-pip-version-check"]
    return failure([str(python), "-m", "pip", "install", *options, *wanted])


def build_project() -> Path:
    """Builds this project's contestant; returns its program."""
    build = ["cargo", "build", "--release", "--quiet", "-p", "dsconv-bench-peers"]
    print(f"building {PROJECT}", file=sys.stderr)
    if why := failure(build):
        raise SystemExit(f"error: {why}")
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return REPOSITORY / target / "release" / "dsconv-bench-peers"


def build_onednn(library: Path) -> str | None:
    """Builds oneDNN's contestant; returns why not."""
    source = HERE / "contestants" / "onednn.cpp"
    if library.exists() and library.stat().st_mtime > source.stat().st_mtime:
        return None
    prefix = Path(sys.prefix)
    compiler = os.environ.get("CXX", "c++")
    flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fopenmp", f"-I{prefix / 'include'}"]
    link = [f"-L{prefix / 'lib'}", f"-Wl,-rpath,{prefix / 'lib'}", "-ldnnl"]
    return failure([compiler, *flags, "-o", str(library), str(source), *link])


def failure(arguments: list[str]) -> str | None:
    """Runs a command; returns the last line of its error, or nothing if it succeeded."""
    try:
        done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True)
    except OSError as why:
        return f"{arguments[0]}: {why.strerror}"
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    lines = lines or done.stderr.splitlines() or [f"exit code {done.returncode}"]
    return None if done.returncode == 0 else f"{Path(arguments[0]).name}: {lines[-1].strip()}"
