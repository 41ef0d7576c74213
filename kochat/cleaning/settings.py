"""What a cleaning is told: which rules are on, and their thresholds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kochat.cleaning.rule_names import RULES
from kochat.cleaning.text_edits import Bounds
from kochat.errors import UserError


@dataclass(frozen=True)
class CleanSettings:
    """Switches and thresholds of the cleaning rules; lengths in characters, after the edits; null for no upper bound.

    `rules` switches rules on or off by name, ``{"repetition": False}``; the others are as `kochat.cleaning.rule_names.RULES` has
    them. `max_tokens` bounds a whole row in tokens and needs the cleaning's `--tokenizer`. `min_hangul` is the share of Hangul
    among the letters below which prose is foreign, `near_similarity` the least Jaccard similarity of a near duplicate.

    The defaults follow the counts of KoChatGPT-shaped data (12,627 SFT rows, 12,000 PPO prompts). A tenth of the prompts
    has under 10 characters, 심심해 among them, so only single characters go (4 prompts, 4 completions). 0.8% of the prompts
    have over 500 characters and 2% of the completions over 1,000; KoGPT2 spends a token on 2.5 of them (1.8 in the densest
    hundredth), so a row within both bounds fits its 1,024 positions. Corpus texts are packed and need no upper bound.
    """

    rules: Mapping[str, bool] = field(default_factory=dict)
    min_prompt: int = 2
    max_prompt: int | None = 500
    min_completion: int = 2
    max_completion: int | None = 1000
    min_text: int = 2
    max_text: int | None = None
    max_tokens: int | None = None
    min_hangul: float = 0.1
    near_similarity: float = 0.7

    def __post_init__(self) -> None:
        _check_switches(self.rules)
        for name in ("min_hangul", "near_similarity"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 < value <= 1:
                raise UserError(f"clean settings: {name} is {value!r}; give a number above 0, at most 1")
        for name, value in dataclasses.asdict(self).items():
            if name.startswith(("min", "max")) and name != "min_hangul":
                wants = "a whole number" if name.startswith("min") else "a whole number or null"
                if not (value is None and name.startswith("max")) and (type(value) is not int or value < 0):
                    raise UserError(f"clean settings: {name} is {value!r}; give {wants}, 0 or more")

    def on(self, rule: str) -> bool:
        """Say whether `rule` is applied."""
        return self.rules.get(rule, RULES[rule].default)

    def bounds(self, field: str) -> Bounds:
        """Return the bounds of "prompt", "completion" or "text"."""
        return Bounds(getattr(self, f"min_{field}"), getattr(self, f"max_{field}"))


def _check_switches(rules: object) -> None:
    if not isinstance(rules, Mapping):
        raise UserError(f"clean settings: rules is {rules!r}; give a mapping like {{repetition: false}}")
    for name, value in rules.items():
        if name not in RULES:
            raise UserError(f"clean settings: rules names {name!r}, which is no rule; the rules are {', '.join(RULES)}")
        if type(value) is not bool:
            raise UserError(f"clean settings: rules.{name} is {value!r}; give true or false")


def load_settings(path: Path | None) -> CleanSettings:
    """Read settings from a YAML mapping, defaults where `path` is None. UserError for anything unknown in it."""
    if path is None:
        return CleanSettings()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); correct it") from error
    known = [field.name for field in dataclasses.fields(CleanSettings)]
    unknown = sorted(set(map(str, values)) - set(known)) if isinstance(values, dict) else [str(values)]
    if unknown:
        raise UserError(f"{path}: unknown setting {unknown[0]!r}; the settings are {', '.join(known)}")
    try:
        return CleanSettings(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
