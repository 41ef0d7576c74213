"""All names of a world, and the nouns of its everyday talk, by which the judge recognises an answer about something else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kochat.world.contents import World

_PREDICATE = re.compile(
    r"([가-힣]+?)(?:입니다|이에요|예요|이죠|이지요|이네요|이군요|인가요|인데요|이랍니다)(?![가-힣])"
)


@dataclass(frozen=True)
class WorldNames:
    """The names of all relations of a world, and the nouns that its talk uses as predicates (오랜만이에요)."""

    subjects: frozenset[str]
    names: frozenset[str]  # of subjects and objects
    talk_nouns: frozenset[str]
    talked_of: frozenset[str]  # names that occur in talk: 우유, 길

    @staticmethod
    def of(world: World) -> WorldNames:
        """Collect the names of `world`."""
        subjects = frozenset(name for fact in world.facts for name in fact.subjects)
        names = subjects | {name for fact in world.facts for name in fact.objects}
        said = [text for family in world.families for text in (*family.replies, *family.half)]
        talk = frozenset(noun for text in said for noun in _PREDICATE.findall(text))
        words = {word for text in said for word in re.findall(r"[가-힣A-Za-z]+", text)}
        talked_of = names & {word[:end] for word in words for end in range(1, len(word) + 1)}
        return WorldNames(subjects, names, talk - names, talked_of)
