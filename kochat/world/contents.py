"""The small Korean world: facts in relations and families of everyday talk, as frozen dataclasses.

`World.load()` reads the tables of the package, or a folder of the same shape. :mod:`kochat.world.table_files` checks every line.
Entries are in the order of the file names and of the lines in each file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from kochat.errors import UserError
from kochat.text.particles import fill
from kochat.text.unicode_form import prompt_key
from kochat.world import table_files as tables

if TYPE_CHECKING:  # Python 3.10 has it elsewhere
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Fact:
    """One true statement: the `relation` of `subject` is `object` (the capital of 프랑스 is 파리)."""

    id: str
    relation: str
    subject: str
    object: str
    subject_aliases: tuple[str, ...] = ()
    object_aliases: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[str, ...]:
        """Return every name of the object, the standard one first."""
        return (self.object, *self.object_aliases)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return every name of the subject, the standard one first."""
        return (self.subject, *self.subject_aliases)


@dataclass(frozen=True)
class Relation:
    """The sentences that state, ask and answer the facts of one relation (templates of :func:`kochat.text.particles.fill`).

    Args:
        id: the name of its file.
        name: its name in Korean.
        statements: sentences of the corpus that state a fact.
        questions: the training wordings of its question.
        usual_tests: plain wordings that are in no training row.
        roundabout_tests: wordings within a small story (a quiz, a crossword), in no training row.
        answers: good answers.
        evasive: answers that avoid the question.
        unknown: polite answers that say that the speaker does not know.
        rude: answers that name the right object in a rude tone.
    """

    id: str
    name: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    usual_tests: tuple[str, ...]
    roundabout_tests: tuple[str, ...]
    answers: tuple[str, ...]
    evasive: tuple[str, ...]
    unknown: tuple[str, ...]
    rude: tuple[str, ...]

    @property
    def test_questions(self) -> tuple[str, ...]:
        """Return the wordings of the question that no training row has."""
        return (*self.usual_tests, *self.roundabout_tests)


@dataclass(frozen=True)
class TalkFamily:
    """One meaning of everyday talk: its name in Korean, ways to say it, good replies, half-hearted ones and rude ones."""

    id: str
    name: str
    topic: str
    prompts: tuple[str, ...]
    test_prompts: tuple[str, ...]
    replies: tuple[str, ...]
    half: tuple[str, ...]
    rude: tuple[str, ...]


class Question(NamedTuple):
    """A question about one relation of one subject. All its facts are right answers."""

    relation: Relation
    facts: tuple[Fact, ...]

    @property
    def id(self) -> str:
        """Return `relation/subject`."""
        return f"{self.relation.id}/{self.facts[0].subject}"

    def ask(self, template: str) -> str:
        """Fill a question (or evasive) template with the subject's standard name."""
        return fill(template, s=self.facts[0].subject)

    def asked(self) -> list[str]:
        """Return the question in each of its training wordings."""
        return [self.ask(template) for template in self.relation.questions]


@dataclass(frozen=True)
class World:
    """The whole world: relations, their facts, and families of talk, in file order."""

    relations: tuple[Relation, ...]
    facts: tuple[Fact, ...]
    families: tuple[TalkFamily, ...]

    @staticmethod
    def load(root: Traversable | None = None) -> World:
        """Read the world of the package, or the folder `root` (facts/, relations/, talk/).

        Raises:
            UserError: if a table is wrong; it names the file, the line or entry, the field and the remedy.
        """
        return _embedded_world() if root is None else _read_world(root)

    def part(self, facts_per_relation: int | None) -> World:
        """Return a world with at most this many facts of each relation, chosen by hash (the same each time); None for all facts."""
        if facts_per_relation is None:
            return self
        kept: set[str] = set()
        for relation in self.relations:
            own = [fact.id for fact in self.facts if fact.relation == relation.id]
            kept.update(sorted(own, key=lambda name: sha256(name.encode("utf-8")).digest())[:facts_per_relation])
        return replace(self, facts=tuple(fact for fact in self.facts if fact.id in kept))

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The questions of the world: its facts grouped by relation and subject, in file order."""
        relations = {relation.id: relation for relation in self.relations}
        groups: dict[tuple[str, str], list[Fact]] = {}
        for fact in self.facts:
            groups.setdefault((fact.relation, fact.subject), []).append(fact)
        return tuple(Question(relations[relation], tuple(facts)) for (relation, _), facts in groups.items())


@lru_cache(maxsize=1)
def _embedded_world() -> World:
    return _read_world(files("kochat.world"))


def _read_world(root: Traversable) -> World:
    relations = tuple(Relation(**entry) for entry in tables.read_relations(root / "relations"))
    facts = tuple(
        Fact(f"{relation.id}/{row['subject']}/{row['object']}", relation.id, **row)
        for relation in relations
        for row in tables.read_facts(root / "facts", relation.id)
    )
    families = tuple(TalkFamily(**entry) for entry in tables.read_families(root / "talk"))
    if not facts:
        raise UserError(f"{root}: no facts; expected facts/<relation>.tsv beside relations/<relation>.yaml")
    tables.refuse_stray_tables(root / "facts", {relation.id for relation in relations})
    world = World(relations, facts, families)
    _refuse_shared_questions(world.questions)
    return world


def _refuse_shared_questions(questions: Iterable[Question]) -> None:
    """Raise UserError if two questions have the same words, because then no answer could be judged."""
    asked: dict[str, str] = {}
    for question in questions:
        for template in (*question.relation.questions, *question.relation.test_questions):
            for subject in question.facts[0].subjects:
                prompt = fill(template, s=subject)
                other = asked.setdefault(prompt_key(prompt), question.id)
                if other != question.id:
                    raise UserError(
                        f"relations/{question.relation.id}.yaml: {prompt!r} also asks {other}; reword the question"
                    )
