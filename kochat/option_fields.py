"""Option dataclasses: each field states its default and its range, and one check covers all fields.

The options of a stage, of its data and of LoRA are dataclasses that inherit `Options`. jsonargparse makes the command line from its
fields and ``--help`` from its docstring. Adding an option is one field and one line of the docstring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from kochat.errors import UserError


@dataclass
class Options:
    """Base of all option dataclasses; the constructor refuses values out of their range."""

    def __post_init__(self) -> None:
        """Check every field, then combinations of fields."""
        for each in fields(self):
            value, fits = getattr(self, each.name), each.metadata.get("fits")
            if fits is not None and value is not None and not fits(value):
                raise UserError(f"{self.group()}.{each.name}={value!r} {each.metadata['remedy']}")
        self.check()

    def check(self) -> None:
        """Refuse combinations of values that do not fit together; a subclass calls ``super().check()`` first.

        Raises:
            UserError: a combination is wrong; the message names the fields and the values to give.
        """

    @classmethod
    def group(cls) -> str:
        """Return the key under which a config holds these options: ``model``, ``model.lora``, ``data``."""
        return "model"


def _checked(default: Any, fits: Callable[[Any], bool], remedy: str) -> Any:
    return field(default=default, metadata={"fits": fits, "remedy": remedy})


def count(default: int | None, remedy: str = "is too small; give 1 or more") -> Any:
    """Make a field for a whole number, 1 or more; None is allowed."""
    return _checked(default, lambda value: value >= 1, remedy)


def whole(default: int, remedy: str = "is too small; give 0 or more") -> Any:
    """Make a field for a whole number, 0 or more."""
    return _checked(default, lambda value: value >= 0, remedy)


def weight(default: float | None) -> Any:
    """Make a field for a weight or a rate: finite, 0 or more; None is allowed."""
    return _checked(default, lambda value: 0 <= value < math.inf, "is no such weight or rate; give 0 or more")


def positive(default: float | None) -> Any:
    """Make a field for a number above 0; infinity is allowed."""
    return _checked(default, lambda value: value > 0, "leaves nothing; give a number above 0")


def share(default: float) -> Any:
    """Make a field for a share, 0 to 1."""
    return _checked(default, lambda value: 0 <= value <= 1, "is no share; give 0 to 1")


def target(default: float | None = None) -> Any:
    """Make a field for a target in nats: finite, above 0; None means no target."""
    return _checked(
        default,
        lambda value: 0 < value < math.inf,
        "is no target; give a number of nats above 0, or null for none",
    )
