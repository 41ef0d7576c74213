"""Find what a Korean sentence is about: its nouns with a particle of the topic, such as 수소 in "수소를 발견한 것은"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kochat.world.contents import Relation

_MARKED = re.compile(r"(?P<noun>[가-힣A-Za-z0-9]+)['\"’”』」]?(?:에는|의|은|는|을|를)(?=\s)")
_WORDS_OF_A_NAME = 4
_FIRST_TOPIC = re.compile(
    r"(?:(?:네|음|아|어|그럼|대단해요)[,.…!]*\s+)*(?:[가-힣]+ )?['\"‘“『「]?(?P<noun>[가-힣]{2,})['\"’”』」]?(?:은|는)\s"
)
_NO_NOUN = "있없하되가오내지리르나보주치키서로에"  # last syllables of stems (있는 나라) and of particles (알기로는)
_OF_TALK = (
    "정답",
    "대답",
    "저희",
    "제가",
    "당연",
    "요즘",
    "오늘",
    "지금",
    "이번",
    "사실",
    "보통",
    "그것",
    "이것",
    "그분",
    "이분",
    "아마",
)


def marked_nouns(sentence: str) -> Iterable[str]:
    """Yield every noun with a topic particle, also together with the words before it: "앨리스", "나라의 앨리스"."""
    for match in _MARKED.finditer(sentence):
        words = sentence[: match.end("noun")].split()
        for count in range(1, min(_WORDS_OF_A_NAME, len(words)) + 1):
            yield " ".join(words[-count:]).lstrip("'\"‘“『「")


def unknown_topic(sentence: str) -> str | None:
    """Return the noun with 은 or 는 at the start of `sentence`; None if it has none, or a verb (있는) or a word like 오늘 there."""
    found = _FIRST_TOPIC.match(sentence)
    if found is None or found["noun"][-1] in _NO_NOUN or found["noun"].startswith(_OF_TALK):
        return None
    return found["noun"]


def subject_particles(relation: Relation) -> list[str]:
    """Return the particles that the subject has in the sentences of `relation`: 으로 in "굴비로 이름난", 과 in "크다와 반대되는"."""
    texts = " ".join((*relation.statements, *relation.answers))
    found = {particle for pair in re.findall(r"\{s:([^}]*)\}", texts) for particle in pair.split("/") if particle}
    return sorted(f"{particle} " for particle in found if particle not in ("이에요", "예요"))
