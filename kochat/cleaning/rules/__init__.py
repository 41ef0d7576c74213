"""The cleaning rules, one file for each: what a rule finds, its switch and thresholds, its names in reports, and its planted dirt.

Each file defines ``RULES``, a tuple of one rule or of a few related rules. All files are found automatically: to add a rule, add
a file. `ALL` has the rules in the order in which they are applied; `RULES` has those that a config can switch. The functions that a
rule calls are in its file, or in :mod:`kochat.text` if other packages need them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from kochat.cleaning.rule_kinds import Rule

RuleT = TypeVar("RuleT", bound=Rule)


def ordered(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return rules by name in the order in which they are applied. Raises ValueError if two rules have the same name or order."""
    found = sorted(rules, key=lambda rule: rule.order)
    for attribute in ("name", "order"):
        values = [getattr(rule, attribute) for rule in found]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(f"kochat.cleaning.rules: two rules have the {attribute} {twice!r}; change one of them")
    return {rule.name: rule for rule in found}


ALL = ordered(rule for module in iter_modules(__path__) for rule in import_module(f"{__name__}.{module.name}").RULES)
RULES = {name: rule for name, rule in ALL.items() if rule.switchable}


@cache
def of_kind(kind: type[RuleT]) -> tuple[RuleT, ...]:
    """Return the switchable rules of one kind, in their order."""
    return tuple(rule for rule in RULES.values() if isinstance(rule, kind))


def rule_of_dirt() -> dict[str, str]:
    """Return kind of planted dirt -> name of the rule that should find it."""
    return {dirt.kind: rule.name for rule in ALL.values() for dirt in rule.planted}


def rule_words(lang: str) -> dict[str, str]:
    """Return the names of all rules and kinds of planted dirt in a report; `lang` is "ko" or "en"."""
    words = {name: getattr(rule.words, lang) for name, rule in ALL.items()}
    planted = ((dirt.kind, dirt.words or rule.words) for rule in ALL.values() for dirt in rule.planted)
    return {kind: getattr(its, lang) for kind, its in planted} | words
