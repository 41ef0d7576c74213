"""Distinguish an answer that claims an unknown object (마르세유입니다) from one that claims none (유명한 도시예요)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from kochat.world.contents import Relation
from kochat.world.names import NameFinder

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
_COPULA = re.compile(
    r"(?:(?P<before>\S+)\s+)?['\"‘“『「]?(?P<noun>[가-힣A-Za-z0-9]+?)['\"’”』」]?"
    r"(?:입니다|이에요|예요|이예요|에요|이었[가-힣]+|였[가-힣]+|인가요|인데요|일까요|일 거예요|일 겁니다|인 것 같|인 듯"
    # 쓰이지요 and 보이죠 are verbs
    r"|(?<=[가-힣]{2})(?:이죠|이지요|이랍니다|랍니다|이다|이네요|이군요)|이?라고 (?:[해합부불들]|생각|알고))"
)
_QUOTES = "'\"‘’“”『』「」"
_PARTICLES = ("의", "은", "는", "이 ", "가", "을", "를", "에", "도", " ")
# First syllables of general verbs, used in every relation. Only the other verbs (썼다, 발명한, 속하는) express the fact.
_RO_ADVERB = re.compile("(?:따|바|새|서|주|별|스스|정말|실제|그대|때때)로 ")  # adverbs, not nouns with the particle 로
_ADVERB = "(?:참|잘|더|꼭|또|좀|안|못|다|처음) "
_COPULAS = ("예요", "에요", "입니다", "입니까", "인가요", "이다")
_TALKING = "알 말 하 해 합 했 한 궁 가르 되 된 돼 됩 주 줘 대 인 입 일"
_NOT_OF_THE_FACT = tuple(_TALKING.split())


class ClaimReader:
    """Recognise claims about one relation: a noun in a position where the sentences of the relation have the object."""

    def __init__(self, relation: Relation, subjects: Iterable[str]) -> None:
        self._words = " ".join((relation.name, *relation.questions, *relation.test_questions, *relation.evasive))
        self._subjects = NameFinder(subjects)
        self._slot = re.compile(rf"(?P<noun>[가-힣A-Za-z0-9]+?)(?:{'|'.join(sorted(_slots(relation)))})")

    def makes_claim(self, text: str, asked: Collection[str]) -> bool:
        """Return whether `text` has, in the position of the object, a noun that is neither vague nor an `asked` subject."""
        if self._is_short_answer(text, asked):
            return True
        text = self._without_subjects(text)
        for match in _COPULA.finditer(text):
            if not self._is_vague(match["noun"]) and not self._describes(match["before"]):
                return True
        slots = (match for match in self._slot.finditer(text) if not _RO_ADVERB.match(match[0]))
        return any(not self._is_vague(match["noun"]) for match in slots)

    def _is_short_answer(self, text: str, asked: Collection[str]) -> bool:
        """Return whether the answer is only a noun ("마르세유", "남쪽이요"), or the subject and a noun."""
        words = re.sub(r"(?:이요)?[.!~?\s]*$", "", text).split()
        last = words[-1].strip(_QUOTES) if words else ""
        verbal = re.search("[다요죠지네까]$", last) is not None
        return 0 < len(words) <= 3 and not verbal and last not in asked and not self._is_vague(last)

    def _without_subjects(self, text: str) -> str:
        """Replace every mentioned subject by a vague noun, but not a second one that is the predicate: that is a claim."""
        mentions = self._subjects.find(text)
        for mention in reversed(mentions):
            if mention == mentions[0] or text[mention.end :].lstrip(_QUOTES).startswith(_PARTICLES):
                text = f"{text[: mention.start]}그것{text[mention.end :]}"
        return text

    def _is_vague(self, noun: str) -> bool:
        if noun in _VAGUE or (len(noun) > 1 and noun in self._words):
            return True
        return noun.endswith(_COMPOUNDED)

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


def _slots(relation: Relation) -> Iterable[str]:
    """Yield patterns for the text after the object: a particle and a verb, or 의 and a noun."""
    told = " ".join((*relation.statements, *relation.answers))
    asked = " ".join((*relation.questions, *relation.test_questions))
    if "{o}의 " in told:
        yield rf"의 (?:{'|'.join(sorted(_VAGUE))})(?:입니|이에|예요|이[죠지다])"
    for noun in re.findall(r"\{o\}의 ([가-힣]{2})", told):
        yield f"의 {noun}"
    for word in re.findall(r"\{o\}에 ([가-힣]+)", told):
        if not word.startswith(_NOT_OF_THE_FACT):
            yield f"에 {_same_start(word[0])}"
    for word in re.findall(r"[가-힣]+", f"{told} {asked}"):
        is_verb = (word[-1] in "다요까나" or _ends_in_nieun(word)) and not word.endswith(_COPULAS)
        if is_verb and not word.startswith(_NOT_OF_THE_FACT):
            yield rf"(?:이|가|께서|으로|로) (?:처음 |직접 )?(?!{_ADVERB}){_same_start(word[0])}"


def _same_start(syllable: str) -> str:
    """Return a pattern for the syllables that differ from `syllable` only in the final consonant (쓰다, 쓴, 씁니다)."""
    first = ord(syllable) - (ord(syllable) - ord("가")) % 28
    return f"[{chr(first)}-{chr(first + 27)}]"


def _ends_in_nieun(word: str) -> bool:
    return (ord(word[-1]) - ord("가")) % 28 == 4
