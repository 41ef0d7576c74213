"""Packing: the same examples in fewer rows."""

import pytest

from kochat.data.batching import PackedCollator, first_fit_decreasing


@pytest.mark.parametrize(
    ("lengths", "room", "bins"),
    [
        ([3, 5, 2, 4], 7, [[1, 2], [3, 0]]),  # 5 + 2, 4 + 3
        ([4, 4, 4], 8, [[0, 1], [2]]),
        ([9, 1], 8, [[0], [1]]),  # too long for any: alone
        ([], 8, []),
    ],
)
def test_first_fit_decreasing_by_hand(lengths, room, bins):
    assert first_fit_decreasing(lengths, room) == bins


def test_a_packed_batch_by_hand():
    rows = [
        {"id": "a", "prompt_ids": [1, 2], "completion_ids": [3]},
        {"id": "b", "prompt_ids": [4], "completion_ids": [5, 6, 7]},
        {"id": "c", "prompt_ids": [8], "completion_ids": [9]},
    ]
    batch = PackedCollator(pad_id=0, max_length=6)(rows)
    assert batch["input_ids"].tolist() == [[4, 5, 6, 7, 8, 9], [1, 2, 3, 0, 0, 0]]
    assert batch["segments"].tolist() == [[1, 1, 1, 1, 2, 2], [1, 1, 1, 0, 0, 0]]
    assert batch["targets"].int().tolist() == [[0, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]]
    assert batch["ids"] == ["a", "b", "c"]
