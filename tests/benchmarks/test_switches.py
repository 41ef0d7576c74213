import inspect
import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import pytest

from benchmarks.peers import switches, two_ranks
from benchmarks.peers.kochat_common import replace_attributes
from benchmarks.peers.settings import Run
from benchmarks.peers.switches import ON, PATHS, WORKS, FastPath
from kochat.stages.ppo.module import PPOModule
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.sft.module import SFTModule

MODULES = {"ppo": PPOModule, "sft": SFTModule, "rm": RewardModule}
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
        module, _, attribute = path.at.rpartition(":")
        if module:
            assert hasattr(import_module(module), attribute)
        else:
            assert all(attribute in inspect.signature(MODULES[work]).parameters for work in path.works)

    def test_each_path_belongs_to_some_work(self):
        assert all(any(work.name.startswith(path.works) for work in WORKS) for path in PATHS)

    def test_an_option_and_an_attribute_travel_with_the_run(self):
        run = FastPath("a", "packing", False).switch_off(Run("w"))
        run = FastPath("b", "package.module:NAME", 0.0).switch_off(run)
        loaded = Run.load(run.dump())
        assert loaded.options == {"packing": False}
        assert loaded.attributes == [["package.module", "NAME", 0.0]]
        assert replace(loaded, options={}, attributes=()) == Run("w")


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
        assert "| packed rows | `packing = False` | 3.00 | 3.50 | 1.17x (1.00-1.50) |" in text
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
