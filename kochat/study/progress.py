"""Say in one line for each run how far a study is, and about how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence


class RunTimes:
    """Estimate how long a run takes: as long as its earlier version, else the mean of the runs of its stage.

    Args:
        stages: run -> name of its stage.
        seconds: run -> how long its earlier version took, in seconds.
    """

    def __init__(self, stages: Mapping[str, str], seconds: Mapping[str, float]) -> None:
        self._stages = dict(stages)
        self._seconds = dict(seconds)

    def add(self, name: str, seconds: float) -> None:
        """Note how long a run took, in seconds; the last value counts."""
        self._seconds[name] = seconds

    def estimate(self, name: str) -> float | None:
        """Return an estimate in seconds; None if no run of the stage is known."""
        if name in self._seconds:
            return self._seconds[name]
        alike = [taken for other, taken in self._seconds.items() if self._stages[other] == self._stages[name]]
        return sum(alike) / len(alike) if alike else None

    def left(self, names: Iterable[str], at_once: int = 1) -> str | None:
        """Return the text on the time that some runs still take; None if nothing is known of any of them.

        Args:
            names: the runs that are not finished.
            at_once: how many of them run at the same time.
        """
        estimates = [self.estimate(name) for name in names]
        known = [seconds for seconds in estimates if seconds is not None]
        if not known:
            return None
        minutes = sum(known) / 60 / at_once
        if minutes < 0.75:
            return "less than a minute left" if len(known) == len(estimates) else None
        return f"{'about' if len(known) == len(estimates) else 'more than'} {minutes:.0f} min left"


class StudyProgress:
    """Make the lines of a study's runs.

    Args:
        names: the runs, in the order of the study.
        times: how long runs took.
        at_once: how many runs run at the same time.
        clock: returns seconds.
    """

    def __init__(
        self, names: Sequence[str], times: RunTimes, at_once: int = 1, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._names, self._times, self._at_once, self._clock = list(names), times, at_once, clock
        self._left = list(names)
        self._earlier = 0
        self._begun = clock()

    def skipped(self, name: str) -> str:
        """Count a run as finished earlier; return its line."""
        self._left.remove(name)
        self._earlier += 1
        return f"{self._place(name)} {name}: finished earlier, skipped"

    def started(self, name: str) -> str:
        """Return the line of a run that starts: what is finished, the time so far, and an estimate of the time left."""
        parts = [f"{self._earlier} of {len(self._names)} finished earlier"] if self._earlier else []
        parts.append(f"{(self._clock() - self._begun) / 60:.1f} min so far")
        left = self._times.left(self._left, self._at_once)
        return f"{self._place(name)} {name}: {', '.join([*parts, *([left] if left else [])])}"

    def finished(self, name: str, seconds: float) -> None:
        """Count a run as finished; it took so many seconds."""
        self._left.remove(name)
        self._times.add(name, seconds)

    def _place(self, name: str) -> str:
        return f"[{self._names.index(name) + 1:2d}/{len(self._names)}]"
