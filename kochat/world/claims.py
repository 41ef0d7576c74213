"""Distinguish an answer that claims an unknown object (마르세유입니다) from one that claims none (유명한 도시예요)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet

from kochat.world.contents import Relation
from kochat.world.names import NameFinder
from kochat.world.object_places import COPULA, OF_TALKING, ObjectPlaces, same_start

# General nouns, which name no single thing: "유명한 도시예요" claims no object.
_KINDS = """
    도시 나라 국가 곳 것 거 하나 음식 요리 사람 인물 분 동물 식물 이름 정보 문제 질문 편 중 때 수도 지역 고장 작품 책 소설 시 왕
    임금 작가 재료 답 대답 이야기 내용 부분 주제 역사 문화 뜻 말 단어 원소 물질 명절 날 행사 풍습 물건 발명품 기술 과학자 발명가
    예술가 화가 음악가 도움 궁금증 존재 일 매력 자랑 특징 생각 마음 기분 느낌 정도 경우 여러분 저 제 우리 여기 거기 그것 이것 무엇
    뭐 어디 누구 언제 가지 종류 수 적 줄 대표 전통 유명 중요 다양 친구 최고 재미 인기 맛 모양 색 색깔 소리 크기 장소 시대 업적 공부
    상식 기호 강 산 바다 섬 대륙 계절 과목 운동 악기 꽃 나무 과일 채소 참 시간 준비 기억 관심 사실 지식 우리나라 곡 그림
"""
_VAGUE = frozenset(_KINDS.split())
_COMPOUNDED = ("나라", "도시", "음식", "작품", "그림", "노래", "놀이")  # 섬나라, 항구도시
_NOUN = r"['\"‘“『「]?(?P<noun>[가-힣A-Za-z0-9]+?)['\"’”』」]?"
_COPULA = re.compile(rf"{_NOUN}{COPULA}")
_FILLER = r"(?:(?:네|음|아|어|바로|그건|정답은|답은|아마|혹시|저는)[,.…!]*\s+)*"
_ALONE = re.compile(rf"(?:^|[.!?…])\s*{_FILLER}(?:[0-9]+월 )?{_NOUN}(?!이네요|이군요){COPULA}")
_SUBJECT_IS = re.compile(rf"{_FILLER}['\"‘“『「]?그것['\"’”』」]?(?:은|는|도)\s+(?:\S+\s+)??{_NOUN}{COPULA}")
_QUOTES = "'\"‘’“”『』「」"
_PARTICLES = ("의", "은", "는", "이 ", "가", "을", "를", "에", "도", " ")
_ADVERB = "(?:참|잘|더|꼭|또|좀|안|못|다|처음) "
_COPULAS = ("예요", "에요", "입니다", "입니까", "인가요", "이다")
_RO_ADVERB = re.compile("(?:따|바|새|서|주|별|스스|정말|실제|그대|때때)로 ")  # adverbs, not nouns with the particle 로


def is_filler(sentence: str) -> bool:
    """Return whether a sentence only begins an answer: 네! 음... 글쎄요."""
    return re.fullmatch(r"(?:네|음|아|어|글쎄요?|그건요?|예|응)[,.…!~?\s]*", sentence) is not None


def is_general(noun: str) -> bool:
    """Return whether a noun names no single thing: 나라, 섬나라."""
    return noun in _VAGUE or noun.endswith(_COMPOUNDED)


class ClaimReader:
    """Recognise claims about one relation: a noun in a place where the sentences of the relation have the object.

    Args:
        relation: the relation.
        places: the object's places in its sentences.
        subjects: the subjects of its facts.
        others: names of other relations: no objects, unless the sentence is about the asked subject or is only this name.
        talk: nouns of everyday talk, which are no objects.
    """

    def __init__(
        self,
        relation: Relation,
        places: ObjectPlaces,
        subjects: Iterable[str],
        others: AbstractSet[str],
        talk: AbstractSet[str],
    ) -> None:
        self._words = " ".join((relation.name, *relation.questions, *relation.test_questions, *relation.evasive))
        self._subjects = NameFinder(subjects)
        self._places = places
        self._others = others | talk
        self._talk = talk
        self._slot = re.compile(rf"{_NOUN}(?:{'|'.join([*_of_kind(relation), places.after])})")
        self._wide_slot = re.compile(rf"{_NOUN}(?:{'|'.join(sorted(_wide_slots(relation)))})")

    def makes_claim(self, text: str, asked: Collection[str], *, begins: bool) -> bool:
        """Return whether the sentence `text` has, in the object's place, a noun that is neither vague nor an `asked` subject.

        In the first sentence of an answer (`begins`) a noun alone is enough: "바르셀로나예요."
        """
        about_asked = any(mention.name in asked for mention in self._subjects.find(text))
        text = self._without_subjects(text)
        if begins and (alone := _ALONE.search(text)) and self._is_object_alone(alone["noun"]):
            return True
        if (
            self._places.states_subject_is_object
            and (said := _SUBJECT_IS.match(text))
            and self._may_be_claimed(said, text)
        ):
            return True
        others: AbstractSet[str] = frozenset() if about_asked else self._others
        key = self._places.key_topic(text)
        for match in _COPULA.finditer(text):
            keyed = (key and key.end() <= match.start("noun")) or self._places.has_predicate(text[match.end("noun") :])
            if keyed and match["noun"] not in others and self._may_be_claimed(match, text):
                return True
        slot = self._wide_slot if about_asked else self._slot
        slots = (match for match in slot.finditer(text) if not _RO_ADVERB.match(match[0]))
        return any(not self._is_vague(match["noun"]) and match["noun"] not in others for match in slots)

    def _may_be_claimed(self, match: re.Match[str], text: str) -> bool:
        before = text[: match.start("noun")].split()
        return not self._is_vague(match["noun"]) and not self._describes(before[-1] if before else None)

    def _is_object_alone(self, noun: str) -> bool:
        return not self._is_vague(noun) and noun not in self._talk

    def is_short_answer(self, text: str, asked: Collection[str]) -> bool:
        """Return whether the answer is only a noun ("마르세유", "남쪽이요"), or the subject and a noun."""
        words = re.sub(r"(?:이요)?[.!~?\s]*$", "", text).split()
        last = words[-1].strip(_QUOTES) if words else ""
        noun = re.fullmatch(r"[가-힣A-Za-z0-9]*[가-힣A-Za-z]", last) and not re.search("[다요죠지네까해줘]$", last)
        return 0 < len(words) <= 3 and bool(noun) and last not in asked and self._is_object_alone(last)

    def _without_subjects(self, text: str) -> str:
        """Replace every mentioned subject by a vague noun, but not a second one that is the predicate: that is a claim."""
        mentions = self._subjects.find(text)
        for mention in reversed(mentions):
            if mention == mentions[0] or text[mention.end :].lstrip(_QUOTES).startswith(_PARTICLES):
                text = f"{text[: mention.start]}그것{text[mention.end :]}"
        return text

    def _is_vague(self, noun: str) -> bool:
        return is_general(noun) or (len(noun) > 1 and noun in self._words)

    def _describes(self, before: str | None) -> bool:
        """Return whether the word before a noun is an attributive verb; then the noun is described, not claimed as the object."""
        if before is None or not "가" <= before[-1] <= "힣":
            return False
        stem = before[:-1]
        if before[-1] in "은는":
            return not self._is_noun_here(stem.strip(_QUOTES))
        return _ends_in_nieun(before)

    def _is_noun_here(self, stem: str) -> bool:
        """Return whether the sentences of the relation use `stem` as a noun: 수도는 is a noun with a particle, 나오는 a verb."""
        return stem in _VAGUE or bool(
            re.search(rf"(?<![가-힣]){re.escape(stem)}(?:의|을|를|이|가|에|도)?(?![가-힣])", self._words)
        )


def _of_kind(relation: Relation) -> Iterable[str]:
    """Yield the pattern of "○의 소설이에요" for a relation whose sentences name the object with 의."""
    if "{o}의 " in " ".join((*relation.statements, *relation.answers)):
        yield rf"의 (?:{'|'.join(sorted(_VAGUE))})(?:입니|이에|예요|이[죠지다])"


def _wide_slots(relation: Relation) -> Iterable[str]:
    """Yield patterns for the text after the object in a sentence about the asked subject, where any verb of the relation will do."""
    told = " ".join((*relation.statements, *relation.answers))
    asked = " ".join((*relation.questions, *relation.test_questions))
    yield from _of_kind(relation)
    for noun in re.findall(r"\{o\}의 ([가-힣]{2})", told):
        yield f"의 {noun}"
    for word in re.findall(r"\{o\}에 ([가-힣]+)", told):
        if not word.startswith(OF_TALKING):
            yield f"에 {same_start(word[0])}"
    for word in re.findall(r"(?<![}가-힣])[가-힣]+", f"{told} {asked}"):
        is_verb = (word[-1] in "다요까나" or _ends_in_nieun(word)) and not word.endswith(_COPULAS)
        if is_verb and not word.startswith(OF_TALKING):
            yield rf"(?:이|가|께서|으로|로) (?:처음 |직접 )?(?!{_ADVERB}){same_start(word[0])}"


def _ends_in_nieun(word: str) -> bool:
    return (ord(word[-1]) - ord("가")) % 28 == 4
