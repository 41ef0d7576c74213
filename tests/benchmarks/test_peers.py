from importlib import import_module

import pytest
import torch

from benchmarks.peers.cases import Case, System
from benchmarks.peers.lengths import LengthForcer, length_table
from benchmarks.peers.measure import Meter
from benchmarks.peers.table import best_peer, ratio_cell

EOS = 1


def forced_lengths(step, rows, limit):
    """Decode with a step function (alive rows -> tokens) and return each row's length."""
    lengths = torch.zeros(rows, dtype=torch.long)
    alive = torch.arange(rows)
    for _ in range(limit):
        tokens = step(alive)
        lengths[alive] += 1
        alive = alive[tokens != EOS]
        if not len(alive):
            break
    return lengths.tolist()


class TestLengths:
    def test_fixed_lengths_never_end(self):
        assert length_table("fixed", 2, 3, 64).tolist() == [[65] * 3] * 2

    def test_drawn_lengths_have_a_mean_of_about_24_and_stay_in_bounds(self):
        table = length_table("eos", 100, 16, 64)
        assert 22 < table.clamp(max=64).float().mean() < 26
        assert int(table.min()) >= 2
        assert int(table.max()) <= 65

    def test_batches_of_any_size_get_the_same_lengths_in_order(self):
        assert length_table("eos", 2, 32, 64).flatten().tolist() == length_table("eos", 64, 1, 64).flatten().tolist()

    def test_kochat_and_transformers_end_their_rows_at_the_same_lengths(self):
        from benchmarks.peers.kochat_common import force_lengths
        from benchmarks.peers.peer_common import ForcedLengths

        table = torch.tensor([[3, 2, 5, 7]])
        logits = torch.zeros(4, 6).index_fill_(1, torch.tensor([EOS]), 9.0)  # would end at once by itself
        module = import_module("kochat.nn.decoding")
        plain = module.draw
        try:
            ours = LengthForcer(table)
            force_lengths(ours, EOS)
            ours.begin()
            drawn = forced_lengths(lambda rows: module.draw(logits[rows], 1.0, None)[0], 4, 6)
        finally:
            module.draw = plain
        theirs = LengthForcer(table)
        theirs.begin()
        processor = ForcedLengths(theirs, EOS, pad_id=2)
        whole = processor(None, logits.clone())
        assert whole[:, [EOS, 2]].isneginf().all()
        ends = [processor(None, logits.clone()).argmax(1).eq(EOS).tolist() for _ in range(5)]
        assert drawn == [3, 2, 5, 6]
        assert ends[0] == [False, True, False, False]
        assert ends[1] == [True, True, False, False]
        assert ends[3] == [True, True, True, False]

    def test_forced_tokens_keep_their_own_logprob(self):
        from benchmarks.peers.kochat_common import force_lengths

        module = import_module("kochat.nn.decoding")
        plain = module.draw
        try:
            forcer = LengthForcer(torch.tensor([[1]]))
            force_lengths(forcer, EOS)
            forcer.begin()
            token, logprob = module.draw(torch.tensor([[50.0, 0.0, 0.0, 0.0, 0.0, 0.0]]), 1.0, None)
        finally:
            module.draw = plain
        assert token.tolist() == [EOS]
        assert logprob.item() == pytest.approx(-50.0, abs=1e-4)


class TestMeter:
    def test_phases_sum_to_the_whole_and_nest(self, monkeypatch):
        clock = iter([0.0, 1.0, 3.0, 6.0, 10.0])
        monkeypatch.setattr("benchmarks.peers.measure.time.process_time", lambda: next(clock))
        meter = Meter()
        meter.start()
        meter.enter("update")
        with meter.phase("checks"):
            pass
        meter.stop()
        assert dict(meter.cpu) == {"other": 1.0, "update": 2.0 + 4.0, "checks": 3.0}


class TestTable:
    def test_gain_is_over_the_peer_that_does_most_work_a_second(self):
        systems = (System("kochat", ""), System("kochat too", "", ours=True), System("slow", ""), System("fast", ""))
        runs = {
            "kochat": [{"cpu_s": 2.0, "work": 10}, {"cpu_s": 4.0, "work": 10}],
            "kochat too": [{"cpu_s": 0.1, "work": 10}] * 2,
            "slow": [{"cpu_s": 30.0, "work": 10}] * 2,
            "fast": [{"cpu_s": 12.0, "work": 20}, {"cpu_s": 24.0, "work": 20}],
        }
        assert best_peer(Case("x", "x", "tiny", systems), runs) == "fast"
        assert ratio_cell(runs["kochat"], runs["fast"], "cpu_s") == "3.00x (3.00-3.00)"
