"""BLEU, ROUGE-L and chrF of a run's answers, kept per prompt to score subsets and differences too.

BLEU and chrF are corpus scores: n-gram counts are summed over prompts before the score is computed. So the score of a
subset or a bootstrap draw comes from summed counts, never from a mean of per-prompt scores. ROUGE-L is a mean over
prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from kochat.metrics.text_overlap import BLEU, CHRF, ROUGEL, text_metrics
from kochat.report.study_files import Answer

MEAN_SCORES = ("rouge_l", "legacy_rouge_l")
CORPUS_SCORES = ("bleu", "chrf", "legacy_bleu")


@dataclass(frozen=True)
class TextScores:
    """Per-prompt F1 of the mean scores, per-prompt n-gram counts of the corpus scores; each by metric, then by prompt id."""

    means: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, Mapping[str, np.ndarray]]

    def value(self, metric: str, ids: Collection[str]) -> float | None:
        """Return a metric, 0 to 1, over the prompts `ids`; None if none of them has a reference."""
        if metric in self.means:
            found = [self.means[metric][key] for key in ids if key in self.means[metric]]
            return float(np.mean(found)) if found else None
        rows = [self.counts[metric][key] for key in ids if key in self.counts[metric]]
        return float(corpus_scores(metric, np.sum(rows, axis=0)[None])[0]) if rows else None


def score_texts(answers: Collection[Answer]) -> TextScores:
    """Compare every answer with its reference; answers without one are left out."""
    rows = [(answer.id, answer.answer, answer.reference) for answer in answers if answer.reference is not None]
    ids, predictions, references = ([row[part] for row in rows] for part in range(3))
    means, counts = {}, {}
    for name, metric in text_metrics().items():
        metric.update(ids, predictions, references)
        if name in MEAN_SCORES:
            means[name] = metric.rows()
        else:
            kept, statistics = metric.unique_rows()
            counts[name] = dict(zip(kept, statistics.numpy(), strict=True))
    return TextScores(means, counts)


def signatures() -> dict[str, str]:
    """Return the signature of every text metric."""
    return {name: metric.signature for name, metric in _metrics().items()}


def corpus_scores(metric: str, counts: np.ndarray) -> np.ndarray:
    """Return the corpus score of each row of summed counts: (n, k) -> (n,)."""
    return np.asarray(_metrics()[metric].row_scores(torch.from_numpy(counts)))


@cache
def _metrics() -> dict[str, BLEU | ROUGEL | CHRF]:
    return text_metrics()
