"""The judge: does an answer to a question of the small world name the right object, a wrong one, or none?

The judge finds names as words with their particles, and distinguishes assertions from denials and doubts. It counts only what is said
of the asked subject. A sentence that does not name this subject is read as an answer if it is about nothing else and has a name or a
noun in the object's place (:mod:`kochat.world.object_places`): "파리예요", "수도는 리옹이에요", "에디슨이 발명했어요". The judge cannot
decide whether a sentence with the right object is otherwise sensible, or whether an additional remark is true.
:mod:`kochat.world.agreement` measures its errors.
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
from kochat.world.world_names import WorldNames


class Verdict(Enum):
    """What an answer does with the fact that was asked."""

    CORRECT = "correct"  # names a right object and no other
    WRONG = "wrong"  # says of the asked subject that it has another object, or denies the right one
    UNKNOWN = "unknown"  # says that it does not know, or tells the reader to look it up, and claims no object
    OFF_THE_POINT = (
        "off_the_point"  # no answer to this question: about something else, talk, or a sentence that claims nothing
    )
    MALFORMED = "malformed"  # empty, a loop, noise, English, or cut off before it says anything


class Judge:
    """Judge answers to every question of `world`, in training and in test wordings."""

    def __init__(self, world: World) -> None:
        self._questions = _questions_by_key(world)
        self._named = {question.id: question for question in world.questions}
        names = WorldNames.of(world)
        self._readers = {
            relation.id: RelationReader(relation, [fact for fact in world.facts if fact.relation == relation.id], names)
            for relation in world.relations
        }
        self._known_pairs = frozenset(fluency.letter_pairs(" ".join(_texts(world))))

    def question(self, prompt: str) -> Question | None:
        """Return the question that `prompt` asks, or None if it asks no fact of the world."""
        return self._questions.get(prompt_key(prompt))

    def question_named(self, name: str) -> Question | None:
        """Return the question with the id `name` (relation/subject), or None."""
        return self._named.get(name)

    def __call__(self, prompt: str, answer: str) -> Verdict | None:
        """Return the verdict on `answer` to `prompt`, or None if the prompt asks no fact of the world."""
        question = self.question(prompt)
        return None if question is None else self.judge_question(question, answer)

    def judge_question(self, question: Question, answer: str) -> Verdict:
        """Return the verdict on `answer` to `question`, in whatever wording it was asked."""
        text = fluency.finished_part(display(answer).strip())
        reader = self._readers[question.relation.id]
        if fluency.defect(text, self._known_pairs) is not None:
            return Verdict.MALFORMED
        found = reader.read(question, text)
        if not found.ends_with_name and fluency.is_cut_off(text, reader.vocabulary):
            return Verdict.MALFORMED
        return _verdict(found)


def _verdict(found: AnswerReading) -> Verdict:
    if found.hedges and found.leaves_open and not found.denies_right:
        return Verdict.UNKNOWN
    if found.wrong or found.denies_right:
        return Verdict.WRONG
    if found.right:
        return Verdict.CORRECT
    if found.claims_unknown:
        return Verdict.WRONG
    return Verdict.UNKNOWN if found.hedges else Verdict.OFF_THE_POINT


@lru_cache(maxsize=1)
def embedded_judge() -> Judge:
    """Return the judge of the embedded world. It is made once in a process, which takes a second."""
    return Judge(World.load())


def _questions_by_key(world: World) -> dict[str, Question]:
    return {
        prompt_key(fill(template, s=subject)): question
        for question in world.questions
        for template in (*question.relation.questions, *question.relation.test_questions)
        for subject in question.facts[0].subjects
    }


def _texts(world: World) -> Iterable[str]:
    """Yield all Korean texts of the world: names, sentences filled with each fact, and talk."""
    relations = {relation.id: relation for relation in world.relations}
    for fact in world.facts:
        relation = relations[fact.relation]
        yield from fact.subjects
        yield from fact.objects
        for template in (
            *relation.statements,
            *relation.questions,
            *relation.answers,
            *relation.evasive,
            *relation.unknown,
            *relation.rude,
        ):
            yield fill(template, s=fact.subject, o=fact.object)
    for family in world.families:
        yield from (*family.prompts, *family.replies, *family.half, *family.rude)
