"""Choose for each prompt an answer to another prompt: whoever scores it as high as the prompt's own answer has not read the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kochat.text.unicode_form import prompt_key

WINDOW = 16  # candidates for each record; the nearest in length of 16 is usually as long as the own answer


@dataclass(frozen=True)
class OwnAnswer:
    """A record's prompt and its best answer.

    Args:
        id: the record's id; records with one id are the same record.
        prompt: the prompt.
        answer: the best answer.
        length: the length of the answer in tokens.
    """

    id: str
    prompt: str
    answer: str
    length: int


def other_answers(records: Sequence[OwnAnswer], window: int = WINDOW) -> list[int | None]:
    """Return for each record the index of the record whose answer is compared with its own.

    The records stand in a circle, sorted by id. The candidates of a record are the next `window` records, without those
    that have its prompt (compared by key) or its answer. Of the candidates the one is chosen whose answer is nearest in
    length, so that length does not tell the answers apart; of several the first. No chance is involved.

    Args:
        records: the records, in any order.
        window: number of candidates.

    Returns:
        One index for each record, never its own; None where no candidate is left.
    """
    first: dict[str, int] = {}
    for index, record in enumerate(records):
        first.setdefault(record.id, index)
    circle = [first[id_] for id_ in sorted(first)]
    keys = {index: prompt_key(records[index].prompt) for index in circle}
    chosen: dict[str, int | None] = {}
    for place, index in enumerate(circle):
        own = records[index]
        reach = range(1, min(window, len(circle) - 1) + 1)
        following = (circle[(place + step) % len(circle)] for step in reach)
        others = [other for other in following if keys[other] != keys[index] and records[other].answer != own.answer]
        chosen[own.id] = min(others, key=lambda other: abs(records[other].length - own.length), default=None)
    return [chosen[record.id] for record in records]
