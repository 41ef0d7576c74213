"""The prompts that no training row may contain: those of the frozen test set and the report's fixed prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard


@cache
def fixed_prompts() -> Guard:
    """Return the guard against the report's fixed prompts; each process builds it once."""
    return Guard(FIXED_PROMPTS.values(), label="fixed prompt")


@dataclass(frozen=True)
class Guards:
    """The held-out prompts. They can be pickled; each worker builds the guards that it needs."""

    test_prompts: tuple[str, ...]
    test_preference_prompts: tuple[str, ...]

    @cached_property
    def test(self) -> Guard:
        """Return the guard against the prompts of the frozen test set."""
        return Guard(self.test_prompts)

    @cached_property
    def preferences(self) -> Guard:
        """Return the guard against the prompts of the held-out preference records."""
        return Guard(self.test_preference_prompts)

    @property
    def fixed(self) -> Guard:
        """Return the guard against the report's fixed prompts."""
        return fixed_prompts()
