"""Write answers of every worth to a question or to everyday talk: good ones, and each kind of worse ones.

A reward model learns the differences between the kinds, so within a record nothing else may tell them apart: every kind but noise is
fluent, every kind but rude is polite, and the lengths are matched (:func:`length_matched`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

from kochat.text.particles import fill
from kochat.world.bad_answers import english_noise, repetition
from kochat.world.contents import Question, TalkFamily, World

About = Question | TalkFamily
FACT_KINDS = ("other_prompt", "wrong", "unknown", "rude", "half", "noise")
TALK_KINDS = ("other_prompt", "rude", "half", "noise")
_OTHERS = 12  # other prompts whose answers are candidates


def kinds_for(about: About) -> tuple[str, ...]:
    """Return the kinds of worse answers to a question or family; talk has no facts to be wrong about."""
    return FACT_KINDS if isinstance(about, Question) else TALK_KINDS


def good_answers(about: About) -> list[str]:
    """Return every good answer to a question or family."""
    if isinstance(about, TalkFamily):
        return list(about.replies)
    return [fill(text, s=fact.subject, o=fact.object) for fact in about.facts for text in about.relation.answers]


def half_answers(about: About) -> list[str]:
    """Return the evasive or half-hearted answers; those of talk also in pairs, because single ones are short."""
    if isinstance(about, Question):
        return [about.ask(text) for text in about.relation.evasive]
    return [*about.half, *(f"{first} {second}" for first, second in permutations(about.half, 2))]


def good_answer(about: About, rng: random.Random) -> str:
    """Return one of the good answers."""
    return rng.choice(good_answers(about))


def length_matched(candidates: Sequence[str], length: int, rng: random.Random) -> str:
    """Choose the candidate nearest in length that is longer, or shorter: which of the two is random.

    So length does not tell a model which answer is worse. If no candidate is on the chosen side, the nearest of all is taken.
    """
    sign = rng.choice((1, -1))
    shuffled = rng.sample(list(candidates), k=len(candidates))
    side = [text for text in shuffled if sign * (len(text) - length) > 0]
    return min(side or shuffled, key=lambda text: abs(len(text) - length))


def length_matched_pair(good: Sequence[str], worse: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Choose a good answer and a worse one; which of them is longer is random, where any two of them allow it.

    Of the good answers a random one is taken for which the worse answers have one on the chosen side.
    """
    sign = rng.choice((1, -1))
    for answer in rng.sample(list(good), k=len(good)):
        side = [text for text in worse if sign * (len(text) - len(answer)) > 0]
        if side:
            return answer, min(rng.sample(side, k=len(side)), key=lambda text: abs(len(text) - len(answer)))
    answer = rng.choice(list(good))
    return answer, length_matched(worse, len(answer), rng)


class WorseAnswers:
    """Write worse answers of each kind to the questions and talk of `world`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def write(self, kind: str, about: About, good: str, rng: random.Random) -> str:
        """Return a worse answer to `about` of this kind (one of :func:`kinds_for`), matched in length with the answer `good`.

        other_prompt answers another prompt well; wrong states another object of the relation; unknown says that the speaker does not
        know; rude is right, but in a rude tone; half is evasive or half-hearted; noise is a loop or English.
        """
        if kind == "noise":
            return repetition(good, rng) if rng.random() < 0.5 else english_noise(len(good), rng)
        return length_matched(self._candidates(kind, about, rng), len(good), rng)

    def pair(self, kind: str, about: About, rng: random.Random) -> tuple[str, str]:
        """Return a good answer to `about` and a worse one of this kind, matched in length."""
        if kind == "noise":
            good = good_answer(about, rng)
            return good, self.write(kind, about, good, rng)
        return length_matched_pair(good_answers(about), self._candidates(kind, about, rng), rng)

    def _candidates(self, kind: str, about: About, rng: random.Random) -> list[str]:
        candidates: list[str] = {
            "other_prompt": self._to_other_prompts,
            "wrong": self._wrong_facts,
            "unknown": _unknown,
            "rude": _rude,
            "half": lambda about, _: half_answers(about),
        }[kind](about, rng)
        return candidates

    def _to_other_prompts(self, about: About, rng: random.Random) -> list[str]:
        """Return good answers to other prompts; half of them answer a question of the same relation, or talk of another topic."""
        near: list[About]
        if isinstance(about, Question):
            near = [other for other in self._world.questions if other.relation == about.relation and other != about]
        else:
            near = [other for other in self._world.families if other.topic != about.topic]
        far: list[About] = [*self._world.questions, *self._far_talk(about)]
        chosen = [
            *_some(near, _OTHERS // 2, rng),
            *_some([other for other in far if other != about], _OTHERS // 2, rng),
        ]
        right = set(good_answers(about))
        return [text for other in chosen for text in good_answers(other) if text not in right]

    def _far_talk(self, about: About) -> list[TalkFamily]:
        """Return the families whose replies cannot fit `about`; replies within one topic often fit each other's prompts."""
        topic = about.topic if isinstance(about, TalkFamily) else None
        return [family for family in self._world.families if family.topic != topic]

    def _wrong_facts(self, about: About, rng: random.Random) -> list[str]:
        assert isinstance(about, Question)  # kinds_for gives this kind for questions alone
        right = {name for fact in about.facts for name in (*fact.objects, *fact.subjects)}
        others = {
            fact.object
            for fact in self._world.facts
            if fact.relation == about.relation.id and right.isdisjoint(fact.objects)
        }
        wrong = rng.choice(sorted(others))
        return [fill(text, s=about.facts[0].subject, o=wrong) for text in about.relation.answers]


def _unknown(about: About, _: random.Random) -> list[str]:
    assert isinstance(about, Question)
    return [about.ask(text) for text in about.relation.unknown]


def _rude(about: About, rng: random.Random) -> list[str]:
    if isinstance(about, TalkFamily):
        return list(about.rude)
    fact = rng.choice(about.facts)
    return [fill(text, s=fact.subject, o=fact.object) for text in about.relation.rude]


def _some(items: Sequence[About], count: int, rng: random.Random) -> list[About]:
    return rng.sample(list(items), k=min(count, len(items)))
