"""The report's words in Korean and English, and how numbers are written.

The words are in ``texts/LANG.yaml``, and those of a stage in ``LANG.yaml`` of its folder. A text is a template for
`kochat.text.particles.fill`: `{name}` is replaced by a word, `{name:은/는}` by the word with the right particle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from kochat.cleaning.rules import rule_words
from kochat.errors import UserError
from kochat.metrics.intervals import Interval
from kochat.report.variant_records import SHARES
from kochat.text.particles import fill

LANGUAGES = ("ko", "en")
DEFAULT_LANGUAGE = "ko"
NOTHING = "–"

_DECIMALS = {"length": 1} | dict.fromkeys(("bleu", "rouge_l", "chrf", "legacy_bleu", "legacy_rouge_l", "kl"), 4)


class Texts:
    """The report's words in one language.

    Args:
        lang: ko or en.
        packages: packages of stages whose words are read too.

    Raises:
        UserError: another language, or two packages with different words for one key.
    """

    def __init__(self, lang: str, packages: Sequence[str] = ()) -> None:
        if lang not in LANGUAGES:
            raise UserError(f"--lang {lang!r}: the report is written in {' or '.join(LANGUAGES)}; use one of them")
        self.lang = lang
        self.packages = tuple(packages)
        self._texts = read_texts(lang) | {f"rule.{name}": words for name, words in rule_words(lang).items()}
        for package in packages:
            self._add(package)

    def __call__(self, key: str, **words: object) -> str:
        """Return the text `key` with ``words`` filled in; raise UserError for an unknown key or word."""
        if key not in self._texts:
            where = f" or in that of a stage ({', '.join(self.packages)})" if self.packages else ""
            raise UserError(
                f"there is no text {key!r} in the report's {self.lang}.yaml{where}; add it to the stage's file"
            )
        try:
            return fill(self._texts[key], **words)
        except KeyError as error:
            raise UserError(
                f"{self.lang}.yaml: {key!r} needs the word {error}, which the report does not give it"
            ) from error

    def has(self, key: str) -> bool:
        """Tell whether there is a text `key`."""
        return key in self._texts

    def named(self, group: str, name: str) -> str:
        """Return the text `group.name`, or `name` if there is none."""
        return self(f"{group}.{name}") if self.has(f"{group}.{name}") else name

    def metric(self, metric: str) -> str:
        """Return a metric's name."""
        return self.named("metric", metric)

    def kind(self, kind: str) -> str:
        """Return the name of a kind of test prompt, or the kind itself if it has no name."""
        return self.named("kind", kind)

    def verdict(self, verdict: str | None) -> str:
        """Return the word for the judge's verdict; empty for None."""
        return self(f"verdict.{verdict}") if verdict and self.has(f"verdict.{verdict}") else ""

    def factor(self, name: str, value: Any) -> str:
        """Format a factor's value with its name: `rank 16`, `learning_rate 0.001`."""
        written = factor_value(value)
        key = next((key for key in (f"factor.{name}.{written}", f"factor.{name}") if self.has(key)), "factor")
        return self(key, name=name, value=written)

    def number(self, metric: str, value: float | None, *, signed: bool = False) -> str:
        """Format a metric's value, the same everywhere; `signed` is for a difference (percentage points for shares of verdicts)."""
        if value is None:
            return NOTHING
        sign = "+" if signed else ""
        if metric in SHARES:
            share = f"{100 * value:{sign}.1f}"
            return self("points", value=share) if signed else share + "%"
        return f"{value:{sign}.{_DECIMALS.get(metric, 3)}f}"

    def interval(self, metric: str, interval: Interval, *, signed: bool = False) -> str:
        """Format a value with its interval: 0.123 (0.100, 0.146)."""
        bounds = (interval.value, interval.low, interval.high)
        value, low, high = (self.number(metric, x, signed=signed) for x in bounds)
        return f"{value} ({low}, {high})"

    def duration(self, seconds: float | None) -> str:
        """Format a duration in seconds: 48 s, 3 min 20 s."""
        if seconds is None:
            return NOTHING
        whole = round(seconds)
        if whole < 60:
            return self("seconds", s=whole)
        return self("minutes", m=whole // 60, s=whole % 60)

    def _add(self, package: str) -> None:
        words = read_texts(self.lang, package)
        for key in words.keys() & self._texts.keys():
            if words[key] != self._texts[key]:
                raise UserError(
                    f"{package}: {self.lang}.yaml: {key!r} has other words in the report already; give it another name"
                )
        self._texts |= words


@cache
def read_texts(lang: str, package: str | None = None) -> dict[str, str]:
    """Read the texts of one language, key -> template: those of the report, or of a stage (empty without a file)."""
    source = files("kochat.report") / "texts" if package is None else files(package)
    path = source / f"{lang}.yaml"
    if package is not None and not path.is_file():
        return {}
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {str(key): str(text).strip() for key, text in content.items()}


def p_text(p_value: float | None) -> str:
    """Format a p-value: "= 0.012", or "< 0.001" for the smallest ones."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def count(value: int | None) -> str:
    """Format a count with a thousands separator."""
    return NOTHING if value is None else f"{value:,}"


def factor_value(value: Any) -> str:
    """Format a factor's value; numbers with enough digits to distinguish them."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
