"""A study that extends another holds everything of it but its own changes."""

import pytest
import yaml

from kochat.errors import UserError
from kochat.study.plan_files import read_plan

WHOLE = {
    "name": "whole",
    "data_dir": "data/x",
    "reward_model": "rm",
    "seed": 7,
    "runs": [
        {"name": "plain", "config": "../baseline.yaml", "command": "test"},
        {"name": "rm", "config": "../rm.yaml", "overlays": ["small.yaml"], "set": {"a.b": 1, "a.c": 2}},
        {"name": "ppo", "config": "../ppo.yaml"},
    ],
}


@pytest.fixture
def read(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "whole.yaml").write_text(yaml.safe_dump(WHOLE), encoding="utf-8")

    def read(**content):
        path = tmp_path / "two" / "own.yaml"
        path.write_text(yaml.safe_dump({"extends": "../one/whole.yaml", **content}), encoding="utf-8")
        return read_plan(path)

    return read


def test_everything_is_taken_but_what_is_given(read, tmp_path):
    plan = read(name="own", seeds=[0, 1])
    assert (plan.name, plan.seeds, plan.seed, plan.reward_model) == ("own", (0, 1), 7, "rm")
    assert [run.config for run in plan.runs] == [tmp_path / name for name in ("baseline.yaml", "rm.yaml", "ppo.yaml")]
    assert plan.runs[1].overlays == (tmp_path / "one" / "small.yaml",)


def test_a_known_run_is_changed(read, tmp_path):
    plan = read(runs=[{"name": "rm", "set": {"a.c": 3, "a.d": 4}, "overlays": ["more.yaml"]}])
    assert plan.runs[1].set == {"a.b": 1, "a.c": 3, "a.d": 4}
    assert plan.runs[1].overlays == (tmp_path / "one" / "small.yaml", tmp_path / "two" / "more.yaml")
    assert plan.runs[1].config == tmp_path / "rm.yaml"
    assert len(plan.runs) == 3


def test_a_new_run_stands_before_the_one_that_follows_it_or_last(read):
    new = [{"name": "first", "config": "f.yaml"}, {"name": "plain"}, {"name": "last", "config": "l.yaml"}]
    assert [run.name for run in read(runs=new).runs] == ["first", "plain", "rm", "ppo", "last"]
    two = [{"name": "a", "config": "a.yaml"}, {"name": "b", "config": "b.yaml"}, {"name": "ppo"}]
    assert [run.name for run in read(runs=two).runs] == ["plain", "rm", "a", "b", "ppo"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"extends": ["a.yaml"]}, "no path"),
        ({"extends": "lost.yaml"}, "lost.yaml: cannot be read"),
        ({"extends": "own.yaml"}, "extends this study in its turn"),
        ({"runs": [{"name": "new"}]}, "own.yaml: runs.3.config: Field required"),
        ({"runs": "rm"}, "own.yaml: runs"),
        ({"runs": [{"name": "rm", "set": 3}]}, "own.yaml: runs.1.set"),
        ({"reward_model": "none"}, "own.yaml: the whole file: reward_model"),
    ],
)
def test_what_does_not_fit_is_named(read, content, message):
    with pytest.raises(UserError, match=message):
        read(**content)


def test_a_fault_of_the_other_study_names_its_file(read, tmp_path):
    (tmp_path / "one" / "whole.yaml").write_text(yaml.safe_dump(WHOLE | {"colour": "red"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"whole.yaml: colour"):
        read(name="own")
