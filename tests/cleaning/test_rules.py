"""A rule is one file: the registry finds it, and each has its words, its place and the dirt that is planted for it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from kochat.cleaning import rule_kinds, rules
from kochat.cleaning.rule_kinds import EditRule, Threshold, Words
from kochat.cleaning.rules import ALL, RULES, of_kind, ordered, rule_of_dirt, rule_words
from kochat.world.generator import write_sample
from tests.data.raw_data import read

KINDS = ("EditRule", "LengthRule", "TextRule", "RecordRule", "LeakRule", "RepeatRule")
NEW_RULE = """
from kochat.cleaning.rule_kinds import Part, TextRule, Threshold, Thresholds, Words


def problem(part: Part, thresholds: Thresholds) -> str | None:
    shouts = part.text.count("!")
    return f"{shouts} exclamation marks" if shouts > thresholds["max_shouts"] else None


RULES = (
    TextRule(
        name="shouting",
        order=345,
        does="more than max_shouts exclamation marks",
        words=Words("고함", "shouting"),
        problem=problem,
        thresholds=(Threshold("max_shouts", 5, "bound"),),
    ),
)
"""


def test_rules_stand_in_the_order_in_which_they_are_applied() -> None:
    assert [rule.order for rule in ALL.values()] == sorted(rule.order for rule in ALL.values())
    kinds = [KINDS.index(type(rule).__name__) for rule in RULES.values()]
    assert kinds == sorted(kinds)
    assert set(ALL) - set(RULES) == {"bad_record", "correction"}
    assert sum(len(of_kind(getattr(rule_kinds, kind))) for kind in KINDS) == len(RULES)


def test_two_rules_may_not_have_one_name_or_one_place() -> None:
    def rule(name: str, order: int) -> EditRule:
        return EditRule(name=name, order=order, does="nothing", words=Words("무", "nothing"), edit=str)

    with pytest.raises(ValueError, match="two rules have the name 'a'"):
        ordered([rule("a", 1), rule("a", 2)])
    with pytest.raises(ValueError, match="two rules have the order 1"):
        ordered([rule("a", 1), rule("b", 1)])


def test_every_rule_has_words_in_both_languages() -> None:
    assert rule_words("ko").keys() == rule_words("en").keys() == {*ALL, "token_residue", "english_noise"}
    assert rule_words("en")["token_residue"] == rule_words("en")["residue"]
    assert rule_words("ko")["english_noise"] == "영어 잡음"
    assert all(any("가" <= char <= "힣" for char in words) for words in rule_words("ko").values())


def test_all_planted_dirt_has_its_rule(tmp_path: Path) -> None:
    write_sample(tmp_path, 0, "tiny")
    planted = {label["kind"] for label in read(tmp_path / "dirt.jsonl")}
    assert planted == rule_of_dirt().keys()
    claimed = [dirt.kind for rule in ALL.values() for dirt in rule.planted]
    assert len(claimed) == len(set(claimed))  # two rules for one kind could not be told apart in a score


@pytest.mark.parametrize(
    ("takes", "good", "bad"),
    [("share", [0.1, 1], [0, 1.1, True, None, "1"]), ("count", [0, 9], [-1, 1.5, True, None]), ("bound", [0, None], [-1, "9"])],
)  # fmt: skip
def test_a_threshold_takes_what_it_says(takes, good: list, bad: list) -> None:
    threshold = Threshold("x", 1, takes)
    assert all(threshold.accepts(value) for value in good)
    assert not any(threshold.accepts(value) for value in bad)


def test_a_new_rule_is_one_file(tmp_path: Path, monkeypatch) -> None:
    """A file beside the others is enough for the registry, the settings, the judgement and the words."""
    (tmp_path / "shouting.py").write_text(NEW_RULE, encoding="utf-8")
    mine = [name for name in sys.modules if name.startswith("kochat.cleaning")]
    with monkeypatch.context() as patch:
        for name in mine:  # a fresh import, as of another process, that the rest of this one does not see
            patch.delitem(sys.modules, name)
        patch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
        fresh = importlib.util.spec_from_file_location(
            "kochat.cleaning.rules", rules.__file__, submodule_search_locations=list(rules.__path__)
        )
        module = importlib.util.module_from_spec(fresh)
        patch.setitem(sys.modules, "kochat.cleaning.rules", module)
        fresh.loader.exec_module(module)
        row_rules = importlib.import_module("kochat.cleaning.row_rules")
        settings = importlib.import_module("kochat.cleaning.settings")
        from kochat.data.records import PromptRecord

        loud = PromptRecord(prompt="정말 대단한 하루였어요" + "!" * 7)
        assert row_rules.problem(loud) == ("shouting", "prompt: 7 exclamation marks")
        assert row_rules.problem(loud, settings.CleanSettings(max_shouts=9)) is None
        assert row_rules.problem(loud, settings.CleanSettings(rules={"shouting": False})) is None
        assert module.rule_words("ko")["shouting"] == "고함"
        for name in [name for name in sys.modules if name.startswith("kochat.cleaning") and name not in mine]:
            del sys.modules[name]
    assert "shouting" not in rules.RULES
