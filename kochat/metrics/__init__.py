"""Metrics as torchmetrics Metrics with one row an example: Korean-aware text scores, and a reward model's ordering."""

from kochat.metrics.demonstrations import DemonstrationScores
from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.metrics.text_overlap import BLEU, CHRF, ROUGEL, text_metrics

__all__ = ["BLEU", "CHRF", "ROUGEL", "DemonstrationScores", "PairAccuracy", "text_metrics"]
