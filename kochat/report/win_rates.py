"""Win rates: in how many prompts one model's answer is better than another's, by each of the study's judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from kochat.metrics.intervals import Interval, wilson_bounds
from kochat.report.record_files import read_records
from kochat.report.study_files import Answer
from kochat.report.study_results import Run

_GRADES = {"correct": 2, "unknown": 1}  # every other verdict: 0


class Duel(BaseModel):
    """One judged pair of answers: 1 if `ours` is better, -1 if `theirs` is, 0 for a tie."""

    id: str
    ours: str
    theirs: str
    preference: float


@dataclass(frozen=True)
class WinRate:
    """How often one model's answer wins, ties and loses."""

    wins: int
    ties: int
    losses: int

    @property
    def rate(self) -> Interval | None:
        """The share of wins, ties counted half, with its Wilson interval; None without a pair."""
        n = self.wins + self.ties + self.losses
        if not n:
            return None
        share = (self.wins + self.ties / 2) / n
        return Interval(share, *wilson_bounds(share, n), n)


def duel_file(ours: str, theirs: str) -> str:
    """Return where a study keeps the endpoint's judgements of two runs, relative to its folder."""
    return f"duels/{ours}--{theirs}.jsonl"


def count_wins(preferences: Iterable[float]) -> WinRate:
    """Count positive, zero and negative preferences."""
    found = list(preferences)
    wins, losses = sum(value > 0 for value in found), sum(value < 0 for value in found)
    return WinRate(wins, len(found) - wins - losses, losses)


def by_reward(ours: Run, theirs: Run) -> WinRate:
    """Compare by the reward model's scores of the same prompts."""
    pairs = _shared(ours, theirs)
    scores = [(mine.score("reward"), other.score("reward")) for mine, other in pairs]
    return count_wins(mine - other for mine, other in scores if mine is not None and other is not None)


def by_facts(ours: Run, theirs: Run) -> WinRate:
    """Compare by the judge of facts: right is better than "I don't know", which is better than the rest."""
    pairs = _shared(ours, theirs)
    grades = [
        tuple(_GRADES.get(one.verdict or "", 0) for one in pair) for pair in pairs if all(one.verdict for one in pair)
    ]
    return count_wins(float(mine - other) for mine, other in grades)


def by_endpoint(folder: Path, ours: Run, theirs: Run) -> WinRate:
    """Compare by the endpoint's judgements of the answers as they are now."""
    path = folder / duel_file(ours.name, theirs.name)
    duels = read_records(Duel, path) if path.is_file() else []
    texts = {mine.id: (mine.answer, other.answer) for mine, other in _shared(ours, theirs)}
    return count_wins(duel.preference for duel in duels if texts.get(duel.id) == (duel.ours, duel.theirs))


def _shared(ours: Run, theirs: Run) -> list[tuple[Answer, Answer]]:
    others = {answer.id: answer for answer in theirs.test_answers}
    return [(mine, others[mine.id]) for mine in ours.test_answers if mine.id in others]
