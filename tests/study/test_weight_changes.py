"""What a run changed in its base, summed up over matrices."""

import pytest

from kochat.nn.update_audit import MatrixUpdate
from kochat.study.weight_changes import changes_by_run, summed_up


def test_norms_add_as_squares_and_ranks_as_a_mean():
    updates = [
        MatrixUpdate("transformer.h.0.attn.c_attn", 3.0, 0.3, 2.0),
        MatrixUpdate("transformer.h.1.attn.c_attn", 4.0, 0.4, 4.0),
        MatrixUpdate("transformer.wte", 0.0, 0.0, 0.0),
    ]
    found = summed_up(updates)
    assert (found.kinds, found.matrices, found.effective_rank) == (["attn.c_attn"], 2, 3.0)
    assert found.relative == pytest.approx(5 / 200**0.5)  # both matrices have a norm of 10


def test_a_full_update_has_the_embedding_too():
    found = summed_up([MatrixUpdate("transformer.wte", 1.0, 0.5, None)])
    assert (found.kinds, found.effective_rank) == (["wte"], None)


def test_nothing_changed_and_nothing_exported(tmp_path):
    assert summed_up([MatrixUpdate("h.0.x", 0.0, 0.0, 0.0)]) is None
    assert changes_by_run({"baseline": tmp_path}) == {}
