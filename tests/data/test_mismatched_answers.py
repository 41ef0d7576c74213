"""The answer to another prompt is chosen without chance, is never the own one, and is near in length."""

import hashlib
import random

from kochat.data.mismatched_answers import OwnAnswer, other_answers


def records(number, seed=0):
    rng = random.Random(seed)
    names = [hashlib.sha256(str(index).encode()).hexdigest()[:16] for index in range(number)]
    return [OwnAnswer(name, f"질문 {name}", f"답 {name}", rng.randint(5, 60)) for name in names]


def pairing(rows):
    """Return {id: id of the other record}."""
    chosen = other_answers(rows)
    return {row.id: None if other is None else rows[other].id for row, other in zip(rows, chosen, strict=True)}


def test_by_hand():
    """In the circle a, b, c, d with a window of 2: a sees b and c, b sees c and d, c sees d and a, d sees a and b."""
    lengths = {"a": 5, "b": 9, "c": 6, "d": 9}
    rows = [OwnAnswer(id_, f"{id_}?", f"{id_}!", lengths[id_]) for id_ in "dbca"]
    chosen = [rows[other].id for other in other_answers(rows, window=2)]
    assert dict(zip("dbca", chosen, strict=True)) == {"a": "c", "b": "d", "c": "a", "d": "b"}


def test_of_equal_lengths_the_first_in_the_circle():
    rows = [OwnAnswer(id_, f"{id_}?", f"{id_}!", 7) for id_ in "abcd"]
    assert other_answers(rows) == [1, 2, 3, 0]


def test_the_order_of_the_records_does_not_matter():
    rows = records(50)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert pairing(rows) == pairing(shuffled)


def test_never_the_own_answer_even_where_the_circle_is_small():
    for number in (2, 3, 16, 17, 40):
        rows = records(number)
        chosen = other_answers(rows)
        assert all(other is not None and other != index for index, other in enumerate(chosen))


def test_the_same_prompt_or_the_same_answer_is_no_other_answer():
    rows = [
        OwnAnswer("a", "수도는?", "파리", 3),
        OwnAnswer("b", "수도는", "런던", 3),
        OwnAnswer("c", "이름은?", "파리", 3),
    ]
    # b asks what a asks; c answers what a answers
    assert other_answers(rows) == [None, 2, 1]
    assert other_answers(rows[:1]) == [None]
    assert other_answers([]) == []


def test_a_record_that_is_there_twice_has_one_other_answer():
    rows = records(30)
    chosen = other_answers([*rows, rows[4]])
    assert chosen[30] == chosen[4]
    assert chosen[:30] == other_answers(rows)


def test_lengths_are_nearer_than_those_of_the_next_record():
    rows = records(300)
    chosen = other_answers(rows)
    ordered = sorted(rows, key=lambda row: row.id)
    following = dict(zip([row.id for row in ordered], [*ordered[1:], ordered[0]], strict=True))
    gap = sum(abs(rows[other].length - row.length) for row, other in zip(rows, chosen, strict=True)) / 300
    gap_of_next = sum(abs(following[row.id].length - row.length) for row in rows) / 300
    assert gap < 3 < 15 < gap_of_next  # of 16 lengths between 5 and 60 the nearest is about 2 away
