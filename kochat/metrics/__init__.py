"""Torchmetrics that keep one row per example: text scores for Korean, and the pair accuracy of reward models."""

from kochat.metrics.demonstrations import DemonstrationScores
from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.metrics.text_overlap import BLEU, CHRF, ROUGEL, text_metrics

__all__ = ["BLEU", "CHRF", "ROUGEL", "DemonstrationScores", "PairAccuracy", "text_metrics"]
