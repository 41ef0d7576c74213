"""The report's words in Korean and English, read from `texts/LANG.yaml`, and how numbers are written.

A text is a template for `kochat.text.particles.fill`: `{name}` takes a word, `{name:은/는}` the word and the right particle.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from kochat.errors import UserError
from kochat.metrics.intervals import Interval
from kochat.report.study_results import Run
from kochat.text.particles import fill

LANGUAGES = ("ko", "en")
NOTHING = "–"

_SHARES = ("accuracy", "hallucination", "abstention")  # written as percentages
_DECIMALS = {"length": 1} | dict.fromkeys(("bleu", "rouge_l", "chrf", "legacy_bleu", "legacy_rouge_l", "kl"), 4)


class Texts:
    """The report's words in one language."""

    def __init__(self, lang: str) -> None:
        if lang not in LANGUAGES:
            raise UserError(f"--lang {lang!r}: the report is written in {' or '.join(LANGUAGES)}; use one of them")
        self.lang = lang
        self._texts = read_texts(lang)

    def __call__(self, key: str, **words: object) -> str:
        """Return the text `key` with its words filled in; KeyError for an unknown key."""
        return fill(self._texts[key], **words)

    def has(self, key: str) -> bool:
        """Tell whether there is a text `key`."""
        return key in self._texts

    def label(self, run: Run) -> str:
        """Name a run as readers know it: stage, LoRA rank or KL coefficient, and v1 where it is not the cleaned data."""
        entry = run.entry
        stage = self(f"stage.{entry.stage}")
        setting = ""
        if entry.stage == "ppo" and entry.kl_coef is not None:
            setting = self("label.kl", kl=f"{entry.kl_coef:g}")
        elif entry.stage in ("sft", "rm") and entry.lora_rank is not None:
            setting = self("label.rank" if entry.lora_rank else "label.full", rank=entry.lora_rank)
        version = entry.version if entry.version != "v2" and entry.stage in ("sft", "rm", "ppo") else ""
        return " ".join(part for part in (stage, setting, version) if part)

    def metric(self, metric: str) -> str:
        """Return a metric's name."""
        return self(f"metric.{metric}")

    def kind(self, kind: str) -> str:
        """Return the name of a kind of test prompt; a kind without a name stands as it is."""
        return self(f"kind.{kind}") if self.has(f"kind.{kind}") else kind

    def verdict(self, verdict: str | None) -> str:
        """Return the word for the oracle's verdict, empty for none."""
        return self(f"verdict.{verdict}") if verdict and self.has(f"verdict.{verdict}") else ""

    def number(self, metric: str, value: float | None, signed: bool = False) -> str:
        """Write a metric's value, the same wherever it stands; `signed` marks a difference (percentage points for shares)."""
        if value is None:
            return NOTHING
        sign = "+" if signed else ""
        if metric in _SHARES:
            share = f"{100 * value:{sign}.1f}"
            return self("points", value=share) if signed else share + "%"
        return f"{value:{sign}.{_DECIMALS.get(metric, 3)}f}"

    def interval(self, metric: str, interval: Interval, signed: bool = False) -> str:
        """Write a value with its interval: 0.123 (0.100, 0.146)."""
        value, low, high = (self.number(metric, x, signed) for x in (interval.value, interval.low, interval.high))
        return f"{value} ({low}, {high})"

    def duration(self, seconds: float | None) -> str:
        """Write a duration: 48 s, 3 min 20 s."""
        if seconds is None:
            return NOTHING
        whole = round(seconds)
        if whole < 60:
            return self("seconds", s=whole)
        return self("minutes", m=whole // 60, s=whole % 60)


@cache
def read_texts(lang: str) -> dict[str, str]:
    """Read one language's texts: a flat mapping of keys to templates."""
    source = files("kochat.report") / "texts" / f"{lang}.yaml"
    return {str(key): str(text).strip() for key, text in yaml.safe_load(source.read_text(encoding="utf-8")).items()}


def count(value: int | None) -> str:
    """Write a count with thousands separated."""
    return NOTHING if value is None else f"{value:,}"
