"""The order in which a study's runs start: each after the runs that it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class RunQueue:
    """Say which run may start next, where several may run at once.

    Args:
        needs: run -> runs that it needs, in the order of the study; needed runs that are not keys count as finished.
    """

    def __init__(self, needs: Mapping[str, Collection[str]]) -> None:
        self._needs = {name: {need for need in needed if need in needs} for name, needed in needs.items()}
        self._waiting = list(needs)
        self._running: set[str] = set()

    @property
    def unfinished(self) -> list[str]:
        """The runs that wait or run, in the order of the study."""
        return [name for name in self._needs if name in self._running or name in self._waiting]

    def start_next(self) -> str | None:
        """Return the first waiting run whose needs are finished, and count it as running; None if there is none."""
        open_runs = self._running.union(self._waiting)
        for name in self._waiting:
            if not self._needs[name] & open_runs:
                self._waiting.remove(name)
                self._running.add(name)
                return name
        return None

    def finish(self, name: str) -> None:
        """Count a run as finished, also one that waits (it was finished earlier)."""
        self._running.discard(name)
        if name in self._waiting:
            self._waiting.remove(name)
