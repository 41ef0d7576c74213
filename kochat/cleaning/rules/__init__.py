"""The cleaning rules, one file each: what a rule finds, its switch and thresholds, its words, and the dirt that is planted for it.

A file here holds ``RULES``, a tuple of one rule, or of a few that belong together. Every file is found by itself: to add a rule, add
a file. `ALL` has them in the order in which they are applied; `RULES` has those that a config can switch. The functions that a rule
calls may stand in its file or, where other rooms need them too, in :mod:`kochat.text`.
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
    """Return rules by name in the order in which they are applied; ValueError where two have one name or one order."""
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
    """Return the rules of one kind, in their order."""
    return tuple(rule for rule in RULES.values() if isinstance(rule, kind))


def rule_of_dirt() -> dict[str, str]:
    """Return for each kind of dirt that the embedded world plants the name of the rule that is to find it."""
    return {dirt.kind: rule.name for rule in ALL.values() for dirt in rule.planted}


def rule_words(lang: str) -> dict[str, str]:
    """Return how a report in `lang` names each rule, and each kind of dirt that is named otherwise than its rule."""
    words = {name: getattr(rule.words, lang) for name, rule in ALL.items()}
    planted = ((dirt.kind, dirt.words or rule.words) for rule in ALL.values() for dirt in rule.planted)
    return {kind: getattr(its, lang) for kind, its in planted} | words
