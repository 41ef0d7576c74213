"""Map a function over tasks in worker processes. Results keep the order of the tasks, for any number of workers.

Processes are spawned on every system, so they inherit nothing but the context that they are given. Only the parent process receives
Ctrl-C. A worker whose parent has ended also ends. If a worker dies, the parent raises :class:`RunError` instead of waiting forever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from kochat.errors import RunError

Context = TypeVar("Context")
Task = TypeVar("Task")
Result = TypeVar("Result")

BYTES_PER_WORKER = 4 << 20  # starting a process takes half a second, in which a worker cleans about this much
_AHEAD = 3  # tasks in flight per worker: enough to keep it busy, few enough to bound memory
_given: Any = None  # in a worker: the context that the parent gave


def useful_workers(wanted: int, data_bytes: int) -> int:
    """Return how many of `wanted` processes to start for `data_bytes` of data; with 1 the parent process does the work."""
    return max(1, min(wanted, data_bytes // BYTES_PER_WORKER))


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(Generic[Context]):
    """A pool of `count` worker processes with a common context; if `count` is 1, the parent process does the work.

    `context` is pickled once for each worker. Use it in a ``with`` block.
    """

    def __init__(self, count: int, context: Context) -> None:
        self._count, self._context = count, context
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers[Context]:
        if self._count > 1:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, spawn, initializer=_begin, initargs=(self._context,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Context, Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield ``function(context, task)`` for each task, in task order; tasks are read only as they are needed.

        `function` must be importable. If it raises an error, the error of the first such task is raised here.

        Raises:
            RunError: if a worker process died.
        """
        if self._pool is None:
            yield from (function(self._context, task) for task in tasks)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                with _interrupts_held_back():  # submitting a task may start a worker process
                    waiting.append(self._pool.submit(_call, function, task))
                if len(waiting) >= _AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process died (was it out of memory?); finished work is kept: give the same command again, "
                f"with fewer than --workers {self._count}"
            ) from error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C during the block; this process receives it after the block.

    A process that is started in the block never receives Ctrl-C. Otherwise a worker that is still importing would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing would start it with the first worker and then unblock Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(context: Any) -> None:
    """Prepare a worker process."""
    global _given
    _given = context
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _call(function: Callable[[Any, Any], Any], task: Any) -> Any:
    return function(_given, task)
