import inspect
import sys
from dataclasses import fields, replace
from importlib import import_module
from types import ModuleType

import pytest
import torch

from benchmarks.peers import plain_ways, switches, two_ranks
from benchmarks.peers.kochat_common import replace_attributes
from benchmarks.peers.settings import Run
from benchmarks.peers.switches import ON, PATHS, WORKS, FastPath
from kochat.functional import linear_logprobs_and_entropy
from kochat.stages.ppo.options import PPOOptions
from kochat.stages.reward_model.options import RewardOptions
from kochat.stages.sft.options import SFTOptions

OPTIONS = {"ppo": PPOOptions, "sft": SFTOptions, "rm": RewardOptions}
WHERE = {"data": "some", "commit": "abc", "day": "today", "machine": "a processor"}


def result(seconds, checks=0.0):
    return {"cpu_s": seconds + checks, "wall_s": seconds, "peak_rss_mb": 100.0, "phases": {"checks": checks}}


@pytest.fixture
def modules(monkeypatch):
    """Two modules of a package called kochat, of which one imports from the other, and a stranger."""
    made = {name: ModuleType(name) for name in ("kochat.owner", "kochat.user", "stranger")}
    for name, module in made.items():
        module.function = len
        monkeypatch.setitem(sys.modules, name, module)
    return made.values()


class TestPaths:
    @pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
    def test_what_a_path_switches_is_there(self, path):
        assert path.options or path.plain
        for work in path.works:
            assert set(path.options) <= {field.name for field in fields(OPTIONS[work[:3]])}
        for at, name in path.plain.items():
            module, _, function = at.partition(":")
            ours, plain = getattr(import_module(module), function), getattr(plain_ways, name)
            its, theirs = inspect.signature(plain).parameters, inspect.signature(ours).parameters
            assert len(its) == len(theirs)
            assert ours is not plain

    def test_each_path_belongs_to_some_work(self):
        assert all(any(work.name.startswith(path.works) for work in WORKS) for path in PATHS)

    def test_options_and_functions_travel_with_the_run(self):
        path = FastPath("a", options={"unpad": False}, plain={"package.module:name": "as_it_is"})
        loaded = Run.load(path.switch_off(Run("w")).dump())
        assert loaded.options == {"unpad": False}
        assert loaded.attributes == [["package.module", "name", "benchmarks.peers.plain_ways:as_it_is"]]
        assert replace(loaded, options={}, attributes=()) == Run("w")


class TestPlainWays:
    def test_logprobs_and_entropy_are_those_of_the_blocks(self):
        hidden, weight = torch.randn(300, 4), torch.randn(20, 4)
        ids = torch.randint(20, (300,))
        found = plain_ways.whole_logprobs_and_entropy(hidden, weight, ids)
        for one, other in zip(found, linear_logprobs_and_entropy(hidden, weight, ids), strict=True):
            torch.testing.assert_close(one, other)
        torch.testing.assert_close(plain_ways.whole_logprobs(hidden, weight, ids), found[0])

    def test_finished_answers_stay(self):
        assert plain_ways.keep_finished(8, 1.0, (0,), 2).drop_share == 0.0


class TestReplacing:
    def test_importers_of_kochats_get_the_value_too_and_nobody_else(self, modules):
        owner, user, stranger = modules
        replace_attributes([["kochat.owner", "function", 3]])
        assert (owner.function, user.function, stranger.function) == (3, 3, len)

    def test_a_text_with_a_colon_is_an_object(self, modules):
        owner, *_ = modules
        replace_attributes([["kochat.owner", "function", "operator:neg"]])
        assert owner.function(2) == -2


class TestTables:
    def test_gain_leaves_the_checks_out(self):
        work, path = WORKS[0], PATHS[0]
        its = {ON: [result(2.0, 5.0), result(4.0, 5.0)], path.name: [result(3.0, 1.0), result(4.0, 1.0)]}
        text = switches.table(WHERE | {"repeats": 2, "works": {work.name: its}})
        assert "| rows without padding | `unpad: false` | 3.00 | 3.50 | 1.17x (1.00-1.50) |" in text
        assert WORKS[1].title not in text

    def test_two_ranks_sum_memory_and_take_the_longer_wall_seconds(self):
        one = result(8.0) | {"tokens": {"real": 6}}
        halves = [result(4.0) | {"tokens": {"real": 2}}, result(5.0) | {"tokens": {"real": 4}}]
        its = {"1": [two_ranks.together([one], 1)], "2": [two_ranks.together(halves, 2)]}
        for work in two_ranks.WORKS:
            two_ranks.check_tokens(work, its)
        text = two_ranks.table(WHERE | {"repeats": 1, "works": {work.name: its for work in two_ranks.WORKS}})
        assert "| SFT | 8.0 | 5.0 | 1.60x | 8.0 | 9.0 | 100 | 200 |" in text

    def test_ranks_that_did_other_work_are_refused(self):
        its = {"1": [{"tokens": {"real": 6}}], "2": [{"tokens": {"real": 5}}]}
        with pytest.raises(SystemExit, match="different tokens"):
            two_ranks.check_tokens(two_ranks.WORKS[0], its)
