"""The settings of a cleaning: which rules are on, and the thresholds that the rules declare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kochat.cleaning.rules import RULES
from kochat.errors import UserError

THRESHOLDS = {threshold.name: threshold for rule in RULES.values() for threshold in rule.thresholds}
SETTINGS = ("rules", *THRESHOLDS)


class CleanSettings:
    """Switches and thresholds of the cleaning rules. Lengths count characters after the edits; None means no upper bound.

    Args:
        rules: switches rules on or off by name, ``{"repetition": False}``; the other rules keep their defaults.
        thresholds: values that replace defaults, by name: ``CleanSettings(min_hangul=0.2)``. `configs/data/clean.yaml` lists all
            thresholds. `max_tokens` bounds a whole row in tokens and needs `--tokenizer`.

    Raises:
        UserError: if there is no such rule, or the value is not allowed.
        TypeError: if no rule has the threshold.
    """

    def __init__(self, rules: Mapping[str, bool] | None = None, **thresholds: Any) -> None:
        _check_switches({} if rules is None else rules)
        for name, value in thresholds.items():
            if name not in THRESHOLDS:
                raise TypeError(f"no rule has the threshold {name!r}; the thresholds are {', '.join(THRESHOLDS)}")
            if not THRESHOLDS[name].accepts(value):
                raise UserError(f"clean settings: {name} is {value!r}; give {THRESHOLDS[name].wants()}")
        self.rules = dict(rules or {})
        self.thresholds = {name: thresholds.get(name, known.default) for name, known in THRESHOLDS.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CleanSettings) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"CleanSettings({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def on(self, rule: str) -> bool:
        """Return whether `rule` is applied."""
        return self.rules.get(rule, RULES[rule].on)

    def as_dict(self) -> dict[str, Any]:
        """Return the given switches and all thresholds as plain values, as in `manifest.json`."""
        return {"rules": self.rules, **self.thresholds}


def _check_switches(rules: object) -> None:
    if not isinstance(rules, Mapping):
        raise UserError(f"clean settings: rules is {rules!r}; give a mapping like {{repetition: false}}")
    for name, value in rules.items():
        if name not in RULES:
            raise UserError(f"clean settings: rules names {name!r}, which is no rule; the rules are {', '.join(RULES)}")
        if type(value) is not bool:
            raise UserError(f"clean settings: rules.{name} is {value!r}; give true or false")


def load_settings(path: Path | None) -> CleanSettings:
    """Read settings from a YAML mapping; defaults if `path` is None. Raises UserError for an unknown or wrong setting."""
    if path is None:
        return CleanSettings()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); correct it") from error
    unknown = sorted(set(map(str, values)) - set(SETTINGS)) if isinstance(values, dict) else [str(values)]
    if unknown:
        raise UserError(f"{path}: unknown setting {unknown[0]!r}; the settings are {', '.join(SETTINGS)}")
    try:
        return CleanSettings(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
