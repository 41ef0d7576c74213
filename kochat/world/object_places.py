"""Find the places of the object in the sentences of one relation: "수도는 ○", "○이/가 썼", "한 ○".

A name or noun counts as an answer only in such a place, or in a sentence about the asked subject. So the sentence "복어로 만듭니다"
says nothing about an author, and "삶은 계란과 잘하실 거예요" nothing about a dish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kochat.world.contents import Relation

# After a noun. Forms that look like the ends of verbs need a longer noun before them: 쓰이지요 and 보이죠 are verbs.
COPULA = (
    r"(?:입니다|이에요|예요|이예요|에요|이었[가-힣]+|였[가-힣]+|인가요|인데요|일까요|일 거예요|일 겁니다|인 것 같|인 듯|이?던가요"
    r"|(?<=[가-힣]{2})(?:이죠|이지요|이랍니다|랍니다|이다|이네요|이군요)|\s?아닌가|\s?아닐까"
    r"|이?라고 (?:[해합부불들]|생각|알고)|(?:으로|로) (?:알고|생각하|기억하))"
)
_PREDICATE = re.compile(
    r"['\"’”』」]?(?:\s(?:[가-힣]{2,3}|왕))?['\"’”』」]?"  # 세종 대왕이에요, 이순신 장군입니다
    rf"(?:쯤|정도)?(?:{COPULA}|이?야|이?네요|이?군요|이?지요?|이?죠|이?래요|이?랍니다|이?란다|(?:이|가|도|은|는)?\s?(?:아니|아닌|맞[습아는]|말고)"
    r"|(?:이?요)?\s*(?:[.!?~,…]|$)|\s중\s|(?:이|가) 정답)"
)
_CONNECTION = re.compile(
    r"['\"’”』」]?(?:이?나|과|와|하고|이?랑|,|도 아니고|도 맞고|\s?아니면|\s?또는|\s?혹은|이?라고도 하고)\s*['\"‘“『「]?"
)
_PLACE = re.compile(r"(\S+ )?['‘]?\{o(?::([^}]*))?\}['’]?(\S*)(?: (\S+))?(?: (\S+))?")
_ASKING = re.compile(
    r"(?:누구|누|어디|무엇|뭐|뭘|(?:어느|어떤|무슨) [가-힣]+?)(가|이|로|으로|에|의|를|을|라고) (?:처음 |가장 |제일 |꼭 )?([가-힣]+)"
)
_KEY_BEFORE_OBJECT = re.compile(r"([가-힣]+)(?:은|는|이|가|로는) (?:바로 |흔히 )?['‘]?\{o")
_KEY_OF_QUESTION = re.compile(
    r"([가-힣]+)(?:은|는|이|가|을|를) (?:누구|어디|뭐|뭔|무엇|언제|며칠|어느|어떤|알려|말해|적어|꼽아)"
)
_WORD_BEFORE = re.compile(r"(?<![가-힣{}:/])([가-힣]+) ['‘]?\{o")
_NOT_BEFORE = "은는이가에서면려로네저히받든낸인때고"
_PARTICLES = {
    "이/가": "(?:이|가|께서)", "으로/로": "(?:으로|로)", "을/를": "(?:을|를)", "은/는": "(?:은|는)", "이/": "이?라고",
}  # fmt: skip
_ADVERBS = ("처음", "직접", "가장", "제일", "바로", "흔히", "널리", "다", "꼭")
_FIRST_SYLLABLES = "알 말 하 해 합 했 한 궁 가르 되 된 돼 됩 주 줘 대 인 입 일 찾 잘 여러 많 떠 도움"
OF_TALKING = tuple(
    _FIRST_SYLLABLES.split()
)  # of general verbs, used in every relation; only the others (썼다, 발명한) express the fact
_NO_KEYS = ("것", "건", "답", "문제", "게", "저", "친구", "때", "이", "사랑받")


class ObjectPlaces:
    """The places of the object in the sentences and questions of `relation`."""

    def __init__(self, relation: Relation) -> None:
        told, asked = (*relation.statements, *relation.answers), relation.questions
        keys = {key for text in told for key in _KEY_BEFORE_OBJECT.findall(text)}
        keys |= {key for text in asked for key in _KEY_OF_QUESTION.findall(text)}
        keys = {key for key in keys if not key.startswith(_NO_KEYS)} | {relation.name.split()[-1]}
        keys -= {key for key in keys if keys & {f"{key}가", f"{key}이"}}  # 작 of 작가
        self._keys = "|".join(sorted(keys, key=len, reverse=True))
        self._key_topic = re.compile(
            rf"(?<![가-힣])(?:{self._keys})(?:은|는|이|가|으?로는|이?라면|의 이름은)(?![가-힣])"
        )
        self._key_predicate = re.compile(rf"(?:이|가|은|는) (?:[가-힣]+의 )?(?:바로 )?(?:{self._keys}){COPULA}")
        made = (f"(?:이|가|께서) {key[:-2]}" for key in keys if key.endswith("은이"))  # 지은이: 이광수가 지었다
        self._after = "|".join(sorted({*_verbs_after(told), *_verbs_asked(asked), *made}))
        self._topic_of_another = re.compile(
            rf"(?P<of>[가-힣A-Za-z]+)['\"’”』」]?의 (?:{self._keys})(?:은|는|이|가)(?![가-힣])"
        )
        self._after_name = re.compile(rf"['\"’”』」]?(?:\s[가-힣]{{2,3}})?(?:님)?(?:{self._after})")
        before = {word for text in told for word in _WORD_BEFORE.findall(text) if word[-1] not in _NOT_BEFORE}
        self._before = re.compile(rf"(?:^|\s)(?:{'|'.join(sorted(before)) or '(?!)'}) ['\"‘“『「]?$")
        self.states_subject_is_object = any(
            re.search(r"\{s:은/는\} (?:해마다 )?\{o(?:\}입|:이/\}다|:이에요)", text) for text in told
        )

    @property
    def after(self) -> str:
        """A pattern for the particle and the verb after an object."""
        return self._after

    def key_topic(self, sentence: str) -> re.Match[str] | None:
        """Return the noun that asks for the object (수도는, 작가는) where `sentence` has it as its topic."""
        return self._key_topic.search(sentence)

    def whose(self, sentence: str) -> str | None:
        """Return the noun of which `sentence` tells the object: 칠레 in "칠레의 수도는"."""
        found = self._topic_of_another.search(sentence)
        return found["of"] if found else None

    def holds(self, text: str, start: int, end: int) -> bool:
        """Return whether the name at `text[start:end]` is in the object's place or is the predicate of its sentence."""
        rest = text[end:]
        return bool(
            _PREDICATE.match(rest)
            or self._after_name.match(rest)
            or self._key_predicate.match(rest)
            or self._before.search(text[:start])
        )

    def has_predicate(self, rest: str) -> bool:
        """Return whether `rest`, the text after a noun, makes the noun the object: "이 수도예요"."""
        return self._key_predicate.match(rest) is not None


def connects(between: str) -> bool:
    """Return whether the text between two names puts them side by side: 파리와 런던, 아시아나 아프리카."""
    return _CONNECTION.fullmatch(between) is not None


def _verbs_after(told: Iterable[str]) -> Iterable[str]:
    """Yield patterns for the text after the object in sentences that have no other name there."""
    for text in told:
        for _, spec, suffix, word, second in _PLACE.findall(text):
            verb = second if word in _ADVERBS else word
            particle = _PARTICLES.get(spec) if spec else re.escape(suffix)
            if particle is None or "{" in verb or not verb or suffix.startswith(("입", ",")):
                continue
            if spec == "이/":
                particle = re.escape(suffix) if suffix.startswith("라") else particle
                particle = f"이?{particle.removeprefix('이?')}"
            elif spec and suffix:
                particle += re.escape(suffix)
            yield from _with_verb(particle, verb)


def _verbs_asked(questions: Iterable[str]) -> Iterable[str]:
    """Yield patterns for the text after an answer to 누가, 어디에, 무엇으로."""
    forms = {
        "가": "(?:이|가|께서)",
        "이": "(?:이|가)",
        "라고": "이?라고",
        "로": "(?:으로|로)",
        "를": "(?:을|를)",
        "을": "(?:을|를)",
    }
    for text in questions:
        for particle, verb in _ASKING.findall(text):
            yield from _with_verb(forms.get(particle, particle), verb)


def _with_verb(particle: str, word: str) -> Iterable[str]:
    word = re.sub(r"[^가-힣]", "", word)
    if word and not word.startswith(OF_TALKING):
        yield rf"{particle} (?:처음 |직접 |가장 |바로 |꼭 )?(?!(?:참|잘|더|또|좀|안|못|다) ){_stem(word)}"


def _stem(word: str) -> str:
    """Return a pattern for the forms of a verb: its first two syllables, or one if an ending follows that; finals may differ."""
    if word.startswith(("있", "없")):
        return word[0]
    if len(word) < 3 or word[1] in "니습":
        return same_start(word[0])
    return word[0] + same_start(word[1])


def same_start(syllable: str) -> str:
    """Return a pattern for the syllables that differ from `syllable` only in the final consonant (쓰다, 쓴, 씁니다)."""
    first = ord(syllable) - (ord(syllable) - ord("가")) % 28
    return f"[{chr(first)}-{chr(first + 27)}]"
