"""BLEU, ROUGE-L and chrF for Korean.

The usual defaults do not fit Korean: SacreBLEU's ``13a`` tokeniser does not separate particles from words, and ROUGE's
normaliser deletes every Hangul letter. The main figures here compare characters without whitespace, because Korean
spacing varies between writers. ``tokenize="none"`` compares whitespace-separated words; it is reported as *legacy*, for
comparison with older studies. All scores are from 0 to 1, higher is better. Both texts are first converted to NFC with
compatibility jamo, so that a tokenizer that decomposes ㅋㅋ loses no score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import sacrebleu.metrics
import torch
from torch import Tensor

from kochat.metrics.row_metric import RowMetric
from kochat.text.unicode_form import display

TOKENIZERS = ("char", "none")


class TextMetric(RowMetric):
    """Compare predictions with one reference each, example by example."""

    higher_is_better = True

    def update(self, ids: list[str], predictions: list[str], references: list[str]) -> None:
        """Add examples; an id that was added before, here or on another rank, counts once.

        Raises:
            ValueError: The three lists are not of one length.
        """
        if not len(ids) == len(predictions) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(predictions)} predictions and {len(references)} references must be as many"
            )
        pairs = zip(predictions, references, strict=True)
        statistics = [self.compare(display(prediction), display(reference)) for prediction, reference in pairs]
        self.append_rows(ids, torch.tensor(statistics, dtype=torch.long).reshape(len(ids), self.width))

    def compare(self, prediction: str, reference: str) -> list[int]:
        """Count the sufficient statistics of one example."""
        raise NotImplementedError


class _SacreMetric(TextMetric):
    """Sum SacreBLEU's segment statistics over the corpus; a row's score is that of a corpus with this one row."""

    def __init__(self, scorer: Any, width: int, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        self.scorer = scorer
        self.scorer.num_refs = 1

    @property
    def signature(self) -> str:
        """SacreBLEU's signature, to report with every figure."""
        return str(self.scorer.get_signature())

    def compare(self, prediction: str, reference: str) -> list[int]:
        """Count n-gram matches of one example, as SacreBLEU does."""
        return self.scorer._extract_corpus_statistics([prediction], [[reference]])[0]

    def row_scores(self, statistics: Tensor) -> list[float]:
        """Score each row by itself (n, k) -> n scores."""
        return [self._score(row) for row in statistics]

    def compute(self) -> Tensor:
        """Score the corpus; NaN where there is no example, shape: ()."""
        _, statistics = self.unique_rows()
        return torch.tensor(self._score(statistics.sum(0)) if len(statistics) else float("nan"), device=self.device)

    def _score(self, statistics: Tensor) -> float:
        # exp(log 100) overshoots 100 by an ulp.
        return min(self.scorer._compute_score_from_stats(statistics.tolist()).score / 100, 1.0)


class BLEU(_SacreMetric):
    """Corpus BLEU, 0 to 1 (Papineni et al. 2002; statistics and smoothing by SacreBLEU, Post 2018).

    The effective n-gram order is used, so that a corpus of answers shorter than four tokens is not always 0; other
    corpus scores do not change.

    Args:
        tokenize: ``char`` (headline: characters without whitespace) or ``none`` (legacy: words between whitespace).
        **kwargs: As for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: ``tokenize`` is neither.
    """

    def __init__(self, tokenize: str = "char", **kwargs: Any) -> None:
        _check_tokenizer(tokenize)
        super().__init__(sacrebleu.metrics.BLEU(tokenize=tokenize, effective_order=True), width=10, **kwargs)


class CHRF(_SacreMetric):
    """Corpus chrF, 0 to 1: F2 over character 1- to 6-grams without whitespace (Popović 2015, by SacreBLEU)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(sacrebleu.metrics.CHRF(), width=18, **kwargs)


class ROUGEL(TextMetric):
    """Mean ROUGE-L F1, 0 to 1 (Lin 2004): with L the longest common subsequence, 2 L / (|prediction| + |reference|).

    Args:
        tokenize: ``char`` (headline: characters without whitespace) or ``none`` (legacy: words between whitespace).
        **kwargs: As for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: ``tokenize`` is neither.
    """

    _SPLIT: ClassVar[dict[str, Callable[[str], str | list[str]]]] = {
        "char": lambda text: "".join(text.split()),
        "none": lambda text: text.split(),
    }

    def __init__(self, tokenize: str = "char", **kwargs: Any) -> None:
        _check_tokenizer(tokenize)
        super().__init__(width=3, **kwargs)
        self.tokenize = tokenize

    @property
    def signature(self) -> str:
        """The settings of the figure, in the form of SacreBLEU's signatures."""
        return f"nrefs:1|case:mixed|tok:{self.tokenize}|stem:no|f:1|agg:mean"

    def compare(self, prediction: str, reference: str) -> list[int]:
        """Count the common subsequence and both lengths, in tokens."""
        split = self._SPLIT[self.tokenize]
        ours, theirs = split(prediction), split(reference)
        return [lcs_length(ours, theirs), len(ours), len(theirs)]

    def row_scores(self, statistics: Tensor) -> list[float]:
        """Compute each row's F1, 0 where both texts are empty: (n, 3) -> n scores."""
        common, ours, theirs = statistics.unbind(1)
        return (2 * common / (ours + theirs).clamp(min=1)).tolist()

    def compute(self) -> Tensor:
        """Average the rows' F1; NaN where there is no example, shape: ()."""
        _, statistics = self.unique_rows()
        return torch.tensor(self.row_scores(statistics), device=self.device).mean()


def lcs_length(a: str | list[str], b: str | list[str]) -> int:
    """Compute the length of the longest common subsequence, in tokens.

    It uses one bit per token of ``a`` and a few integer operations per token of ``b`` (Hyyrö 2004, "Bit-parallel
    LCS-length computation revisited"): a zero bit marks where the subsequence grows.
    """
    matches: dict[str, int] = {}
    for position, token in enumerate(a):
        matches[token] = matches.get(token, 0) | 1 << position
    full = (1 << len(a)) - 1
    row = full
    for token in b:
        found = row & matches.get(token, 0)
        row = (row + found | row - found) & full
    return len(a) - row.bit_count()


def text_metrics(*, legacy: bool = True) -> dict[str, BLEU | ROUGEL | CHRF]:
    """Make one of each metric: reported name -> metric.

    Args:
        legacy: Add the figures over whitespace-separated words.
    """
    metrics: dict[str, BLEU | ROUGEL | CHRF] = {"bleu": BLEU(), "rouge_l": ROUGEL(), "chrf": CHRF()}
    if legacy:
        metrics |= {"legacy_bleu": BLEU("none"), "legacy_rouge_l": ROUGEL("none")}
    return metrics


def _check_tokenizer(tokenize: str) -> None:
    if tokenize not in TOKENIZERS:
        raise ValueError(f"tokenize={tokenize!r} is unknown; choose one of {', '.join(TOKENIZERS)}")
