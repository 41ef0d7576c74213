"""Write reviewed dialogues for the corpus of the base model: a prompt, an answer of some worth, and a review of it.

A review names what the prompt asks, what the answer speaks of, and its verdict, in either order. Text with answers and people's
judgement of them is in every large corpus. It helps a reward model to compare an answer with its prompt. A verdict alone did not: with
one informative word in 40 tokens the base learnt nothing from it (docs/ppo.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from kochat.world.contents import Question, World
from kochat.world.dirt import SampleRow
from kochat.world.graded_answers import About, WorseAnswers, good_answer, good_answers

_OPENINGS = ("다음 대화의 답을 평가해 보세요.", "이 답은 어떤가요?", "아래 답이 알맞은지 보세요.")
_VERDICTS = {
    "good": "평가: 알맞은 답이에요.",
    "other_prompt": "평가: 엉뚱한 답이에요.",
    "wrong": "평가: 틀린 답이에요.",
    "unknown": "평가: 모른다는 답이에요.",
    "rude": "평가: 무례한 답이에요.",
    "half": "평가: 성의 없는 답이에요.",
}
_MANNERS = {"unknown": "모른다는 말", "rude": "무례한 말", "half": "성의 없는 말"}
_FACT_SHARES = {"good": 8, "other_prompt": 5, "wrong": 5, "unknown": 2, "rude": 2, "half": 1}
_TALK_SHARES = {"good": 8, "other_prompt": 6, "rude": 2, "half": 2}


class Reviewer:
    """Review answers to the prompts of `world`."""

    def __init__(self, world: World) -> None:
        self._worse = WorseAnswers(world)
        abouts: list[About] = [*world.questions, *world.families]
        self._abouts = {text: about for about in abouts for text in good_answers(about)}
        objects = {
            relation.id: {fact.object for fact in world.facts if fact.relation == relation.id}
            for relation in world.relations
        }
        self._objects = {key: sorted(names, key=lambda name: (len(name), name)) for key, names in objects.items()}

    def answer(self, about: About, rng: random.Random) -> tuple[str, str]:
        """Return an answer to `about` and its kind: good, or one of :func:`kochat.world.graded_answers.kinds_for`."""
        shares = _FACT_SHARES if isinstance(about, Question) else _TALK_SHARES
        (kind,) = rng.choices(list(shares), weights=list(shares.values()))
        good = good_answer(about, rng)
        return (good if kind == "good" else self._worse.write(kind, about, good, rng)), kind

    def review(self, about: About, answer: str, kind: str, rng: random.Random) -> str:
        """Return the review: the verdict, and what prompt and answer speak of."""
        said = _MANNERS.get(kind) or self._said(about, answer, kind)
        reasons = f"물음은 {name_of(about)}. 답은 {said}."
        if kind == "wrong" and isinstance(about, Question):
            reasons += f" 바른 답은 {about.facts[0].object}."
        parts = [_VERDICTS[kind], reasons]
        rng.shuffle(parts)
        return " ".join(parts)

    def _said(self, about: About, answer: str, kind: str) -> str:
        said = self._abouts[answer] if kind == "other_prompt" else about
        if not isinstance(said, Question):
            return name_of(said)
        rest = answer.replace(said.facts[0].subject, "")  # 호박 is in 호박죽
        objects = [name for name in self._objects[said.relation.id] if name in rest]
        return f"{name_of(said)}, {objects[-1]}" if objects else name_of(said)


def name_of(about: About) -> str:
    """Return what a prompt is about, in a few words: "나라의 수도, 프랑스" or "고르기 힘든 일"."""
    return f"{about.relation.name}, {about.facts[0].subject}" if isinstance(about, Question) else about.name


def reviewed_dialogues(
    world: World, prompts: Sequence[tuple[str, About]], rng: random.Random, write: Callable[[str, str], str]
) -> Iterator[SampleRow]:
    """Write reviewed dialogues over `prompts` (each with its question or family), without end: {text, source} rows.

    `write` writes a prompt and its answer as one text.
    """
    reviewer = Reviewer(world)
    while prompts:
        for prompt, about in rng.sample(list(prompts), k=len(prompts)):
            answer, kind = reviewer.answer(about, rng)
            lines = (rng.choice(_OPENINGS), write(prompt, answer), reviewer.review(about, answer, kind, rng))
            yield {"text": "\n".join(lines), "source": f"reviews/{kind}"}
