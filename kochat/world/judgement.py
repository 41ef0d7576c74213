"""The judge: does an answer to a question of the small world name the right object, a wrong one, or none?

It reads answers, it does not match templates: names are found as words with their particles, denials and doubts are
told from assertions, and an object named for another subject does not count as right. What it cannot see: whether a sentence
that names the right object is otherwise sensible, and whether a side remark is true. CORRECT is the surest verdict. An
answer that names no object of the relation is WRONG where it puts some noun in the object's place, or tells a fact about another
subject, and ABSTAINED otherwise; the broken sentences of a small model often fall on the wrong side of that line.
:mod:`kochat.world.agreement` says how far a reader agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

from kochat.text.particles import fill
from kochat.text.unicode_form import display, prompt_key
from kochat.world import fluency
from kochat.world.answer_reading import AnswerReading, RelationReader
from kochat.world.contents import Question, World


class Verdict(Enum):
    """What an answer does with the fact that was asked."""

    CORRECT = "correct"  # names a right object and no other
    WRONG = "wrong"  # names or claims another object, or denies the right one
    ABSTAINED = "abstained"  # commits to no object: says it does not know, evades, talks of something else
    MALFORMED = "malformed"  # empty, looping, noise, English, or cut off before it says anything


class Judge:
    """Judge answers to every question of `world`, in its training and its test wordings."""

    def __init__(self, world: World) -> None:
        self._questions = _questions_by_key(world)
        self._readers = {
            relation.id: RelationReader(relation, [fact for fact in world.facts if fact.relation == relation.id])
            for relation in world.relations
        }
        self._known_pairs = frozenset(fluency.letter_pairs(" ".join(_texts(world))))

    def question(self, prompt: str) -> Question | None:
        """Return what `prompt` asks, or None when it asks no fact of the world."""
        return self._questions.get(prompt_key(prompt))

    def __call__(self, prompt: str, answer: str) -> Verdict | None:
        """Judge `answer` to `prompt`; None when the prompt asks no fact of the world."""
        question = self.question(prompt)
        return None if question is None else self.judge_question(question, answer)

    def judge_question(self, question: Question, answer: str) -> Verdict:
        """Judge `answer` to `question`, however the question was worded."""
        text = fluency.finished_part(display(answer).strip())
        reader = self._readers[question.relation.id]
        if fluency.defect(text, self._known_pairs) is not None:
            return Verdict.MALFORMED
        found = reader.read(question, text)
        if not found.ends_with_name and fluency.is_cut_off(text, reader.vocabulary):
            return Verdict.MALFORMED
        return _verdict(found)


def _verdict(found: AnswerReading) -> Verdict:
    if found.wrong or found.denies_right:
        return Verdict.WRONG
    if found.right:
        return Verdict.CORRECT
    if found.hedges:
        return Verdict.ABSTAINED
    return Verdict.WRONG if found.about_another or found.claims_unknown else Verdict.ABSTAINED


@lru_cache(maxsize=1)
def embedded_judge() -> Judge:
    """Return the judge of the world that ships with the package; it is made once, which takes a second."""
    return Judge(World.load())


def _questions_by_key(world: World) -> dict[str, Question]:
    return {
        prompt_key(fill(template, s=subject)): question
        for question in world.questions
        for template in (*question.relation.questions, *question.relation.test_questions)
        for subject in question.facts[0].subjects
    }


def _texts(world: World) -> Iterable[str]:
    """Yield all the Korean that the world is made of, sentences filled with each fact."""
    relations = {relation.id: relation for relation in world.relations}
    for fact in world.facts:
        relation = relations[fact.relation]
        yield from fact.subjects
        yield from fact.objects
        for template in (*relation.statements, *relation.questions, *relation.answers, *relation.evasive):
            yield fill(template, s=fact.subject, o=fact.object)
    for family in world.families:
        yield from (*family.prompts, *family.replies, *family.half)
