"""Read an answer to a question of one relation: which objects it asserts, denies or doubts, and for which subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kochat.world.claims import ClaimReader
from kochat.world.clauses import Stance, clause_spans, hedges, stance
from kochat.world.contents import Fact, Question, Relation
from kochat.world.names import Mention, NameFinder

_TOPIC_PARTICLES = ("의", "은", "는", "이", "가", "을", "를")
# In "유럽과 가깝지만" and "물고기처럼" the name is not given as the object, only compared with it.
_COMPARED = re.compile("처럼|보다|만큼|[와과] (?:달리|같은|비슷|가까|가깝|이웃|맞닿|마주)")


@dataclass(frozen=True)
class AnswerReading:
    """What an answer says about the asked subject."""

    right: bool  # asserts a right object
    wrong: bool  # asserts another object of the relation
    denies_right: bool
    about_another: bool  # names an object for another subject
    claims_unknown: bool  # claims an object that is in no fact of the relation
    hedges: bool
    ends_with_name: bool  # ends with the name of an object, as a short answer does


class RelationReader:
    """Read answers to the questions of `relation`, whose facts are `facts`."""

    def __init__(self, relation: Relation, facts: Sequence[Fact]) -> None:
        self._objects = {name for fact in facts for name in fact.objects}
        self._subjects = _with_heads(name for fact in facts for name in fact.subjects)
        self._finder = NameFinder(self._objects | self._subjects)
        self._claims = ClaimReader(relation, self._subjects)
        self.vocabulary = " ".join((relation.name, *relation.questions, *relation.test_questions))

    def read(self, question: Question, text: str) -> AnswerReading:
        """Return what the answer `text` says about the subject of `question`."""
        asked = _with_heads(question.facts[0].subjects)
        right_names = {name for fact in question.facts for name in fact.objects}
        said: dict[Stance, list[str]] = {kind: [] for kind in Stance}
        about_another = ends_with_name = False
        for mention, kind, on_topic in self._object_mentions(text, asked):
            ends_with_name = mention.end == len(text)
            if on_topic:
                said[kind].append(mention.name)
            else:
                about_another = True
        asserted = said[Stance.ASSERTED] or said[Stance.REPORTED]
        return AnswerReading(
            right=any(name in right_names for name in asserted),
            wrong=any(name not in right_names for name in asserted),
            denies_right=any(name in right_names for name in said[Stance.DENIED]),
            about_another=about_another,
            claims_unknown=self._claims.makes_claim(text, asked),
            hedges=hedges(text),
            ends_with_name=ends_with_name,
        )

    def _object_mentions(self, text: str, asked: set[str]) -> list[tuple[Mention, Stance, bool]]:
        """Return for every mention of an object (mention, stance of its clause, whether it is about the asked subject)."""
        found = []
        on_topic = True
        mentions = self._finder.find(text)
        for start, end in clause_spans(text):
            here = [mention for mention in mentions if start <= mention.start < end]
            objects = [mention for mention in here if self._is_object(mention, text, mentions, asked)]
            subjects = [mention for mention in here if mention.name in self._subjects and mention not in objects]
            kind = stance(text[start:end])
            topics = [mention for mention in subjects if mention.name in asked or self._is_topic(mention, text)]
            for mention in objects:
                if not _COMPARED.match(text, mention.end):
                    found.append((mention, kind, _is_about(mention, topics, asked, inherited=on_topic)))
            if topics:
                on_topic = any(mention.name in asked for mention in topics)
        return found

    def _is_topic(self, mention: Mention, text: str) -> bool:
        """Return whether the clause is about this subject, as in 독일은, 독일의 수도, 독일 수도, but not 독일 옆."""
        rest = text[mention.end :].lstrip("'\"’”』」")
        words = rest.split()
        return rest.startswith(_TOPIC_PARTICLES) or (rest[:1] == " " and words[0][:2] in self.vocabulary)

    def _is_object(self, mention: Mention, text: str, mentions: Sequence[Mention], asked: set[str]) -> bool:
        if mention.name not in self._objects:
            return False
        if mention.name not in asked:
            return True
        # 싱가포르의 수도는 싱가포르: the name of the subject is the object if it is repeated or is the predicate.
        first = next(other for other in mentions if other.name in asked)
        return mention != first or not text[mention.end :].startswith((*_TOPIC_PARTICLES, "에", ","))


def _with_heads(subjects: Iterable[str]) -> set[str]:
    """Add the short names of subjects with several words: "고구려는 주몽이" is about 고구려 건국."""
    names = set(subjects)
    return names | {head for name in names if (head := name.rpartition(" ")[0])}


def _is_about(mention: Mention, topics: Sequence[Mention], asked: set[str], *, inherited: bool) -> bool:
    """Return whether an object belongs to the asked subject: by the last topic before it, else any topic after it, else `inherited`."""
    before = [topic for topic in topics if topic.start < mention.start]
    if before:
        return before[-1].name in asked
    return any(topic.name in asked for topic in topics) if topics else inherited
