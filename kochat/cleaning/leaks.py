"""What no row may show to a model: the prompts of the frozen test set and the report's fixed prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard


@cache
def fixed_prompts() -> Guard:
    """Return the guard of the report's fixed prompts; it is built once in each process."""
    return Guard(FIXED_PROMPTS.values(), label="fixed prompt")


@dataclass(frozen=True)
class Guards:
    """The prompts that are held out; picklable, each worker builds the guards that it needs."""

    test_prompts: tuple[str, ...]
    test_preference_prompts: tuple[str, ...]

    @cached_property
    def test(self) -> Guard:
        """Guard the prompts of the frozen test set."""
        return Guard(self.test_prompts)

    @cached_property
    def preferences(self) -> Guard:
        """Guard the prompts of the preference records that were set aside."""
        return Guard(self.test_preference_prompts)

    @property
    def fixed(self) -> Guard:
        """Guard the report's fixed prompts."""
        return fixed_prompts()
