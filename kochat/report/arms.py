"""Arms of a study: runs that differ only in the seed of their training, and the pairs of arms that are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kochat.report.study_results import Run


@dataclass(frozen=True)
class Arm:
    """One setting of a study and its runs, one a seed."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run of the first seed, which stands for the arm where one run is shown."""
        return self.runs[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the runs, in the order of the seeds."""
        return tuple(run.name for run in self.runs)


def single(run: Run) -> Arm:
    """Return the arm that has this run alone."""
    return Arm((run,))


def paired_arms(pairs: Iterable[tuple[Run, Run]]) -> list[tuple[Arm, Arm]]:
    """Join the (run, against) pairs of different seeds: each arm has its runs in the order of the pairs.

    A run that serves all seeds (a baseline, or a base) comes once a pair. Two runs of one origin differ in the seed itself, and stay a
    pair of their own.
    """
    joined: dict[tuple[str, str], list[tuple[Run, Run]]] = {}
    for run, against in pairs:
        origins = run.entry.origin, against.entry.origin
        key = (run.name, against.name) if origins[0] == origins[1] else origins
        joined.setdefault(key, []).append((run, against))
    return [(Arm(tuple(run for run, _ in group)), Arm(tuple(run for _, run in group))) for group in joined.values()]
