"""Measure one run in its own process: CPU and wall seconds, peak memory, the share of each phase, FLOP."""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch._dynamo  # torch imports it at the first call of some functions; imports are not what is measured
from torch.utils.flop_counter import FlopCounterMode

MARK = "RESULT "
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "lightning")


class Meter:
    """Times a run from `start` to `stop`, split into phases.

    CPU seconds are those of the whole process (user and system, all threads). On a shared machine wall seconds also
    include waiting for other work.
    """

    def __init__(self, *, count_flops: bool = False) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.wall = 0.0
        self.tokens: dict[str, int] = defaultdict(int)
        self._flops = FlopCounterMode(display=False) if count_flops else None
        self._phase = ""
        self._since = self._began = 0.0
        self._running = False

    def start(self) -> None:
        """Begin to measure."""
        if self._flops is not None:
            self._flops.__enter__()
        self._running, self._phase = True, "other"
        self._began, self._since = time.perf_counter(), time.process_time()

    def enter(self, phase: str) -> str:
        """End the present phase and begin ``phase``; return the one that ended."""
        before, self._phase = self._phase, phase
        if self._running:
            now = time.process_time()
            self.cpu[before] += now - self._since
            self._since = now
        return before

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Spend a block in a phase."""
        before = self.enter(name)
        try:
            yield
        finally:
            self.enter(before)

    def stop(self) -> None:
        """End the measurement."""
        self.enter("other")
        self.wall = time.perf_counter() - self._began
        self._running = False
        if self._flops is not None:
            self._flops.__exit__(None, None, None)

    def report(self, **more: object) -> None:
        """Print the result as one line of JSON."""
        result = {
            "cpu_s": sum(self.cpu.values()),
            "wall_s": self.wall,
            "phases": dict(self.cpu),
            "peak_rss_mb": peak_rss_mb(),
            "tokens": dict(self.tokens),
            "versions": versions(),
            **more,
        }
        if self._flops is not None:
            result["flop"] = self._flops.get_total_flops()
        sys.stdout.write(f"{MARK}{json.dumps(result)}\n")  # in one piece: ranks share the stream
        sys.stdout.flush()


def training_seconds(result: dict) -> float:
    """Return a result's CPU seconds without kochat's checks, which run once per run."""
    return result["cpu_s"] - result["phases"].get("checks", 0.0)


def peak_rss_mb() -> float:
    """Return the process's highest resident memory, MiB.

    Linux's VmHWM is the peak of this program; the figure of getrusage may include the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    unit = 2**20 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def versions() -> dict[str, str]:
    """Return the versions that a figure rests on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def gemm_ceiling(dtype: torch.dtype = torch.float32, size: int = 1024, tries: int = 8) -> float:
    """Return the best FLOP per CPU-second of a square matrix product with one thread."""
    a, b = torch.randn(2, size, size).to(dtype)
    best = 0.0
    for _ in range(tries):
        started = time.process_time()
        for _ in range(4):
            a @ b
        best = max(best, 4 * 2 * size**3 / (time.process_time() - started))
    return best
