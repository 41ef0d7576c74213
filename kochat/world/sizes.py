"""The sizes of the sample data: for a study on two CPU cores, for a larger study, or for tests."""

from __future__ import annotations

from dataclasses import dataclass

from kochat.errors import UserError


@dataclass(frozen=True)
class Size:
    """Numbers of rows in each file, with dirt; fewer rows are written if the world has not enough different prompts."""

    facts_per_relation: int | None = None  # None uses all facts
    corpus_chars: int = 250_000  # of clean text
    sft_rows: int = 3_000
    rm_rows: int = 1_800
    ppo_rows: int = 1_600
    talk_share: float = 0.35  # of the different rows of SFT, RM and PPO, and of the corpus' characters
    asked_share: float = 0.25  # of the corpus' characters: questions with their answers
    review_share: float = 0.0  # of the corpus' characters: reviewed dialogues
    dialogue_forms: bool = False  # whether the corpus writes dialogues in several forms
    dirt_share: float = 0.15  # of the rows of every training file
    test_usual: int = 150
    test_roundabout: int = 150
    test_corpus_only: int = 50
    test_talk: int = 100

    def dirty(self, rows: int) -> int:
        """Return how many of `rows` rows of a training file carry dirt."""
        return int(rows * self.dirt_share)


SIZES = {
    # A model of two million parameters cannot learn 700 facts in two minutes, so the quickstart asks fewer facts more often.
    "quickstart": Size(facts_per_relation=16, sft_rows=2_400),
    # As many rankings as there are different prompts: a reward model learns to read the prompt from records, not from steps (docs/ppo.md).
    "rankings": Size(facts_per_relation=16, sft_rows=2_400, rm_rows=20_000),
    "full": Size(
        corpus_chars=600_000,
        sft_rows=6_000,
        rm_rows=2_000,
        ppo_rows=2_400,
        test_usual=300,
        test_roundabout=300,
        test_corpus_only=60,
    ),
    "tiny": Size(
        corpus_chars=40_000,
        sft_rows=400,
        rm_rows=120,
        ppo_rows=160,
        test_usual=10,
        test_roundabout=10,
        test_corpus_only=10,
        test_talk=10,
    ),
}


def named_size(size: str | Size) -> Size:
    """Return the Size named `size` (quickstart, rankings, full, tiny), or `size` itself if it is a Size; UserError otherwise."""
    if isinstance(size, Size):
        return size
    if size not in SIZES:
        raise UserError(f"size={size!r} is unknown; choose {' or '.join(SIZES)}")
    return SIZES[size]
