"""Apply the edit rules to one text, repeatedly, until nothing changes."""

from __future__ import annotations

from collections.abc import Callable

from kochat.cleaning.rule_kinds import EditRule
from kochat.cleaning.rules import of_kind


def edit(text: str, on: Callable[[str], bool] = lambda _: True) -> tuple[str, list[str]]:
    """Apply every edit rule that is `on`, in order; repeat until nothing changes.

    Returns the text and the names of the rules that changed it, each once, in the order of their first change. The text is a fixed
    point: editing it again changes nothing. For this reason cleaning v2 again gives v2.
    """
    changed: list[str] = []
    rules = [rule for rule in of_kind(EditRule) if on(rule.name)]
    before = None
    while before != text:
        before = text
        for rule in rules:
            edited = rule.edit(text)
            if edited != text and rule.name not in changed:
                changed.append(rule.name)
            text = edited
    return text, changed
