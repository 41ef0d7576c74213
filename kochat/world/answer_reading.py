"""Read an answer to a question of one relation: which objects it asserts, denies or doubts, and for which subject."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kochat.world.claims import ClaimReader, is_filler, is_general
from kochat.world.clauses import Stance, clause_spans, leaves_open, says_not_to_know, says_to_look_up, stance
from kochat.world.contents import Fact, Question, Relation
from kochat.world.fluency import sentence_spans
from kochat.world.names import Mention, NameFinder
from kochat.world.object_places import ObjectPlaces, connects
from kochat.world.topics import marked_nouns, subject_particles, unknown_topic
from kochat.world.world_names import WorldNames

_TOPIC_PARTICLES = ("의", "은", "는", "이", "가", "을", "를")
# In "유럽과 가깝지만" and "물고기처럼" the name is not given as the object, only compared with it.
_COMPARED = re.compile("처럼|보다|만큼|[와과] (?:달리|같은|비슷|가까|가깝|이웃|맞닿|마주)")


@dataclass(frozen=True)
class AnswerReading:
    """What an answer says about the asked subject."""

    right: bool  # asserts a right object
    wrong: bool  # asserts another object of the relation
    denies_right: bool
    claims_unknown: bool  # claims an object that is in no fact of the relation
    hedges: bool
    leaves_open: bool  # names several objects and does not decide between them
    ends_with_name: bool  # ends with the name of an object, as a short answer does


class RelationReader:
    """Read answers to the questions of `relation`.

    Args:
        relation: the relation.
        facts: its facts.
        names: the names of the whole world, to recognise sentences about something else.
    """

    def __init__(self, relation: Relation, facts: Sequence[Fact], names: WorldNames) -> None:
        self.vocabulary = " ".join((relation.name, *relation.questions, *relation.test_questions))
        self._objects = {name for fact in facts for name in fact.objects}
        self._subjects = _with_heads(name for fact in facts for name in fact.subjects)
        own = self._objects | self._subjects
        self._finder = NameFinder(own)
        self._names = names
        self._foreign = {name for name in names.subjects - own if len(name) > 1 and name not in self.vocabulary}
        self._common = {name for name in self._objects if len(name) == 1 or name in names.talked_of}
        self._places = ObjectPlaces(relation)
        self._particles = (*_TOPIC_PARTICLES, *subject_particles(relation))
        self._claims = ClaimReader(relation, self._places, self._subjects, names.names - own, names.talk_nouns)

    def read(self, question: Question, text: str) -> AnswerReading:
        """Return what the answer `text` says about the subject of `question`."""
        asked = _with_heads(question.facts[0].subjects)
        right_names = {name for fact in question.facts for name in fact.objects}
        said: dict[Stance, list[str]] = {kind: [] for kind in Stance}
        mentions = self._finder.find(text)
        for mention, kind in self._object_mentions(text, mentions, asked):
            said[kind].append(mention.name)
        asserted = said[Stance.ASSERTED] or said[Stance.REPORTED]
        return AnswerReading(
            right=any(name in right_names for name in asserted),
            wrong=any(name not in right_names for name in asserted),
            denies_right=any(name in right_names for name in said[Stance.DENIED]),
            claims_unknown=self._claims_unknown(text, mentions, asked),
            hedges=says_not_to_know(text) or self._says_to_look_up(text),
            leaves_open=leaves_open(text),
            ends_with_name=bool(mentions) and mentions[-1].end == len(text) and mentions[-1].name in self._objects,
        )

    def _object_mentions(self, text: str, mentions: Sequence[Mention], asked: set[str]) -> list[tuple[Mention, Stance]]:
        """Return (mention, stance of its clause) for every object that is said of the asked subject."""
        found: list[tuple[Mention, Stance]] = []
        on_topic = True
        places = self._places_of_objects(text, mentions)
        for sentence, (first, last) in _clauses_by_sentence(text):
            inside = [mention for mention in mentions if sentence[0] <= mention.start < sentence[1]]
            of_asked = any(mention.name in asked for mention in inside)
            foreign = not of_asked and self._is_about_another(text[sentence[0] : sentence[1]], asked)
            here = [mention for mention in mentions if first <= mention.start < last]
            objects = [mention for mention in here if self._is_object(mention, text, mentions, asked)]
            subjects = [mention for mention in here if mention.name in self._subjects and mention not in objects]
            topics = [mention for mention in subjects if mention.name in asked or self._is_topic(mention, text)]
            for mention in objects:
                said = of_asked or mention in places or not self._is_aside(mention, text, after_another=bool(found))
                about = _is_about(mention, topics, asked, inherited=on_topic and not foreign)
                if said and about and not _COMPARED.match(text, mention.end):
                    found.append((mention, stance(text[first:last])))
            if topics:
                on_topic = any(mention.name in asked for mention in topics)
        return found

    def _is_aside(self, mention: Mention, text: str, *, after_another: bool) -> bool:
        """Return whether a name outside the object's place is only a word of everyday talk or a further remark (윤봉길도)."""
        further = re.match(r"(?: [가-힣]{2})?도 ", text[mention.end :]) is not None
        return mention.name in self._common or (after_another and further)

    def _places_of_objects(self, text: str, mentions: Sequence[Mention]) -> set[Mention]:
        """Return the mentions in an object's place; of 파리와 런던입니다 both are."""
        found: set[Mention] = set()
        after: Mention | None = None
        for mention in reversed(mentions):
            beside = after in found and after is not None and connects(text[mention.end : after.start])
            if beside or self._places.holds(text, mention.start, mention.end):
                found.add(mention)
            after = mention
        return found

    def _claims_unknown(self, text: str, mentions: Sequence[Mention], asked: set[str]) -> bool:
        """Return whether a sentence that is not about another subject claims an object that the world does not know.

        A sentence that says not to know claims nothing.
        """
        if self._claims.is_short_answer(text, asked) and not says_not_to_know(text):
            return True
        begun = False
        for start, end in sentence_spans(text):
            sentence = text[start:end]
            inside = [mention for mention in mentions if start <= mention.start < end]
            of_asked = any(mention.name in asked for mention in inside)
            other = any(mention.name in self._subjects and self._is_topic(mention, text) for mention in inside)
            about_asked = of_asked or not (other or self._is_about_another(sentence, asked))
            read = about_asked and not (says_not_to_know(sentence) or says_to_look_up(sentence))
            if read and self._claims.makes_claim(sentence, asked, begins=not begun):
                return True
            begun = begun or not is_filler(sentence)
        return False

    def _says_to_look_up(self, text: str) -> bool:
        sentences = (text[start:end] for start, end in sentence_spans(text))
        return any(
            says_to_look_up(sentence) and not any(name in self._foreign for name in marked_nouns(sentence))
            for sentence in sentences
        )

    def _is_about_another(self, sentence: str, asked: Collection[str]) -> bool:
        """Return whether `sentence`, which does not name the asked subject, is about another one.

        A topic after the first object is none: "파리는 에펠탑으로 유명해요" is about 파리.
        """
        objects = (mention.start for mention in self._finder.find(sentence) if mention.name in self._objects)
        said = re.sub("의 ['\"‘“]?$", "", sentence[: min(objects, default=len(sentence))])  # 이탈리아의 크리스토포리
        whose = self._places.whose(said)
        if whose is not None and not is_general(whose) and not any(whose in name for name in asked):
            return True
        if any(name in self._foreign for name in marked_nouns(said)):
            return True
        topic = unknown_topic(said)
        return topic is not None and not (is_general(topic) or topic in self.vocabulary or topic in self._objects)

    def _is_topic(self, mention: Mention, text: str) -> bool:
        """Return whether the clause is about this subject, as in 독일은, 독일의 수도, 독일 수도, but not 독일 옆."""
        rest = _rest(text, mention)
        words = rest.split()
        return rest.startswith(self._particles) or (rest[:1] == " " and words[0][:2] in self.vocabulary)

    def _is_object(self, mention: Mention, text: str, mentions: Sequence[Mention], asked: set[str]) -> bool:
        if mention.name not in self._objects:
            return False
        if mention.name not in asked:
            return True
        # 싱가포르의 수도는 싱가포르: the name of the subject is the object if it is repeated or is the predicate.
        first = next(other for other in mentions if other.name in asked)
        return mention != first or not text[mention.end :].startswith((*_TOPIC_PARTICLES, "에", ","))


def _clauses_by_sentence(text: str) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield ((start, end) of the sentence, (start, end) of the clause) for every clause of `text`."""
    sentences = sentence_spans(text)
    for start, end in clause_spans(text):
        yield next((span for span in sentences if span[0] <= start < span[1]), (start, end)), (start, end)


def _rest(text: str, mention: Mention) -> str:
    """Return the text after a mention and its closing quotation mark."""
    return text[mention.end :].lstrip("'\"’”』」")


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
