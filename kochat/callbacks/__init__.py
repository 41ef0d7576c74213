"""Lightning callbacks: answers and their scores, reward scores and how far to trust them, and the guard against NaN."""

from kochat.callbacks.answers import AnswerEvaluation
from kochat.callbacks.nan_guard import NaNGuard, NonFiniteError
from kochat.callbacks.preference import PreferenceScores
from kochat.callbacks.reward_evaluation import RewardEvaluation

__all__ = ["AnswerEvaluation", "NaNGuard", "NonFiniteError", "PreferenceScores", "RewardEvaluation"]
