"""Write what a reward model learns from and is measured on: ranked completions, and held-out pairs of known kind.

Right > "I don't know" > wrong, and an answer to the prompt > an answer to another one. Where the order of two kinds is open (a rude
right answer against a polite "I don't know"), no record has both.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from kochat.world.contents import Question, TalkFamily, World
from kochat.world.dirt import SampleRow
from kochat.world.graded_answers import About, WorseAnswers, good_answers, kinds_for

# (middle, worst) -> how often, among the records of a kind of prompt. Most worst completions are fluent answers to another prompt.
_FACT_RANKINGS = {
    ("unknown", "other_prompt"): 5,
    ("unknown", "wrong"): 6,
    ("rude", "other_prompt"): 3,
    ("half", "other_prompt"): 2,
    ("half", "wrong"): 2,
    ("wrong", "noise"): 1,
    ("other_prompt", "noise"): 1,
}
_TALK_RANKINGS = {
    ("half", "other_prompt"): 4,
    ("rude", "other_prompt"): 4,
    ("half", "rude"): 2,
    ("other_prompt", "noise"): 1,
}
_PAIRS_A_PROMPT = 3  # beside the pair of kind other_prompt, which every prompt has


class Rankings:
    """Write ranked completions for the prompts of `world`."""

    def __init__(self, world: World) -> None:
        self._worse = WorseAnswers(world)

    def record(self, prompt: str, about: About, rng: random.Random) -> SampleRow:
        """Return {prompt, completion_0..2, ranking}; `ranking` lists the completions' indices, best first, in random places."""
        kinds = _FACT_RANKINGS if isinstance(about, Question) else _TALK_RANKINGS
        (middle, worst), *_ = rng.choices(list(kinds), weights=list(kinds.values()))
        good, second = self._worse.pair(middle, about, rng)
        texts = (good, second, self._worse.write(worst, about, good, rng))
        order = [0, 1, 2]
        rng.shuffle(order)
        placed = dict(zip(order, texts, strict=True))
        return {"prompt": prompt, **{f"completion_{i}": placed[i] for i in range(3)}, "ranking": order}

    def pairs(self, row: dict[str, Any], about: About, rng: random.Random) -> list[dict[str, Any]]:
        """Return held-out pairs {id, prompt, better, worse, kind} for one test prompt.

        Kinds: those of :func:`kinds_for` (a good answer against a worse one), ``unknown_wrong`` ("I don't know" against a wrong fact) and
        ``length`` (two good answers; ``better`` is the longer one, so that half of the pairs should be ordered this way).
        """
        more = [kind for kind in (*kinds_for(about), "length") if kind != "other_prompt"]
        if isinstance(about, Question):
            more.append("unknown_wrong")
        kinds = ["other_prompt", *rng.sample(more, k=_PAIRS_A_PROMPT)]
        found = {kind: self._pair(kind, about, rng) for kind in kinds}
        return [
            {"id": f"{row['id']}/{kind}", "prompt": row["prompt"], "better": better, "worse": worse, "kind": kind}
            for kind, (better, worse) in found.items()
        ]

    def _pair(self, kind: str, about: About, rng: random.Random) -> tuple[str, str]:
        if kind == "length":
            short, long = sorted(rng.sample(good_answers(about), k=2), key=len)
            return long, short
        if kind == "unknown_wrong":
            _, unknown = self._worse.pair("unknown", about, rng)
            return unknown, self._worse.write("wrong", about, unknown, rng)
        return self._worse.pair(kind, about, rng)


def test_pairs(world: World, test_rows: Iterable[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Return the held-out pairs of all test prompts whose facts training asks, and of talk."""
    rankings = Rankings(world)
    abouts: dict[str, Question | TalkFamily] = {family.id: family for family in world.families}
    abouts |= {fact.id: question for question in world.questions for fact in question.facts}
    asked = (row for row in test_rows if row["kind"] != "corpus_only")
    return [pair for row in asked for pair in rankings.pairs(row, abouts[row.get("fact_id") or row["family"]], rng)]
