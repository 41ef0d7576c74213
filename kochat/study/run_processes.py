"""Start each run of a study in a process of its own, so that all its memory returns when it ends.

The processes are forked from Python's fork server, not from the study's process: a fresh process that has imported the
libraries and done nothing else. A fork of a process in which OpenMP threads have worked hangs at its first tensor product
(measured with torch 2.13), and a fork of one that has used CUDA cannot use it. The server costs one more import of the
libraries for a whole study (7 s of one core, while the study reads its configs and prepares its data), a run then starts
without any import. Where there is no fork server (Windows), the runs share the study's process.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

_PRELOADED = ["kochat.study.run_in_child"]
INTERRUPTED = 130  # the exit status of a run that Ctrl-C has ended
_PATIENCE = 3.0  # seconds for a run to end before it is asked again


@dataclass(frozen=True)
class Started:
    """A run that is to be started.

    Args:
        name: its name.
        args: its command line.
        progress_bar: False shows no bar, where several runs share the terminal.
    """

    name: str
    args: Sequence[str]
    progress_bar: bool = True


class RunPool(Protocol):
    """Where runs are run."""

    at_once: int  # how many runs run at the same time

    @property
    def free(self) -> bool:
        """Whether another run can start now."""

    def start(self, run: Started) -> None:
        """Start a run."""

    def wait(self) -> tuple[str, Any]:
        """Wait until a run has ended; return its name and its `kochat.lightning_cli.Ended`.

        Raises:
            UserError: the run's input is wrong.
            RunError: the run failed.
            KeyboardInterrupt: the run was interrupted.
        """

    def close(self) -> None:
        """End the runs that still run."""


class SharedProcess:
    """Run one run after the other in this process; `start` returns when the run has ended."""

    at_once = 1

    def __init__(self) -> None:
        self._ended: list[tuple[str, Any]] = []

    @property
    def free(self) -> bool:
        """Whether the last run was asked for."""
        return not self._ended

    def start(self, run: Started) -> None:
        """Run a run."""
        from kochat.lightning_cli import run_subcommand

        self._ended.append((run.name, run_subcommand(list(run.args), progress_bar=run.progress_bar)))

    def wait(self) -> tuple[str, Any]:
        """Return the run that has ended, without its memory."""
        gc.collect()
        return self._ended.pop()

    def close(self) -> None:
        """Do nothing: no run runs any more."""


@dataclass(frozen=True)
class _Running:
    """A run in a process of its own: it sends its result, or its error, through ``told``."""

    name: str
    device: str | None
    process: BaseProcess
    told: connection.Connection


class ProcessPool:
    """Run each run in a process of its own, as many at once as there are devices.

    Args:
        devices: the value of CUDA_VISIBLE_DEVICES for each run; ``[None]`` runs one at a time and leaves it as it is.
    """

    def __init__(self, devices: Sequence[str | None] = (None,)) -> None:
        self.at_once = len(devices)
        self._free = list(devices)
        self._running: list[_Running] = []

    @property
    def free(self) -> bool:
        """Whether a device is free."""
        return bool(self._free)

    def start(self, run: Started) -> None:
        """Start a run on a free device."""
        from kochat.study.run_in_child import run_and_send

        start_server()
        context, device = multiprocessing.get_context("forkserver"), self._free.pop(0)
        told, tells = context.Pipe(duplex=False)
        process = context.Process(target=run_and_send, args=(tells, run, device, _threads()), name=run.name)
        process.start()
        tells.close()  # the child has its own end: when it ends, `told` ends too
        self._running.append(_Running(run.name, device, process, told))

    def wait(self) -> tuple[str, Any]:
        """Wait until a run has ended; return its name and how it ended."""
        ready = connection.wait([each.told for each in self._running])
        ended = next(each for each in self._running if each.told in ready)
        try:
            result = ended.told.recv()
        except EOFError:  # it has ended without a word
            result = None
        ended.process.join()
        self._running.remove(ended)
        self._free.append(ended.device)
        if isinstance(result, Exception):
            raise result
        if result is None:
            raise silent_end(ended.name, ended.process.exitcode or 0)
        return ended.name, result

    def close(self) -> None:
        """End the runs that still run. Ctrl-C has reached them too; who does not end is asked to, and then killed."""
        for ask in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for each in self._running:
                each.process.join(_PATIENCE)
                if each.process.pid is not None and each.process.is_alive():
                    os.kill(each.process.pid, ask)
        for each in self._running:
            each.process.join()
        self._running = []


def start_server() -> None:
    """Start the fork server, unless it runs or the platform has none; it imports the libraries beside this process."""
    if has_server():
        from multiprocessing.forkserver import ensure_running

        multiprocessing.set_forkserver_preload(_PRELOADED)
        ensure_running()


def has_server() -> bool:
    """Whether the platform has a fork server."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def run_pool() -> RunPool:
    """Return where a study's runs are run: in processes of their own if the platform has a fork server."""
    return ProcessPool(devices()) if has_server() else SharedProcess()


def devices() -> list[str | None]:
    """Return the value of CUDA_VISIBLE_DEVICES for each run at a time; ``[None]`` with one GPU or none."""
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return [None]
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    return list(visible[:count]) if len(visible) >= count else [str(number) for number in range(count)]


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def silent_end(name: str, status: int) -> BaseException:
    """Return the error for a run that ended without a result."""
    from kochat.errors import RunError

    if status in (INTERRUPTED, -signal.SIGINT):
        return KeyboardInterrupt()
    if status < 0:
        why = "often for lack of memory" if status == -signal.SIGKILL else "by itself or from outside"
        return RunError(f"run {name}: its process was ended by {signal.Signals(-status).name}, {why}")
    return RunError(f"run {name}: its process ended with exit status {status}; the lines above say why")
