"""A study's YAML: paths become absolute, names must fit together, and what is wrong is named."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from kochat.errors import UserError
from kochat.study.plan_files import read_plan

RUNS = [
    {"name": "base", "config": "../pretrain.yaml"},
    {"name": "plain", "config": "../baseline.yaml", "command": "test"},
    {"name": "rm", "config": "rm.yaml", "overlays": ["a.yaml", "/b.yaml"], "set": {"model.init_args.margin": 0.5}},
    {"name": "ppo", "config": "ppo.yaml"},
]
PLAN = {
    "name": "trial",
    "data_dir": "data/x",
    "reward_model": "rm",
    "runs": RUNS,
}


def written(tmp_path, **changes) -> Path:
    path = tmp_path / "study" / "trial.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(PLAN | changes), encoding="utf-8")
    return path


def test_paths_are_relative_to_the_yaml(tmp_path):
    plan = read_plan(written(tmp_path, raw="../mine", corpus="../mine/corpus.jsonl"))
    assert [run.config for run in plan.runs] == [
        tmp_path / "pretrain.yaml",
        tmp_path / "baseline.yaml",
        tmp_path / "study" / "rm.yaml",
        tmp_path / "study" / "ppo.yaml",
    ]
    assert plan.runs[2].overlays == (tmp_path / "study" / "a.yaml", Path("/b.yaml"))
    assert plan.raw == str(tmp_path / "mine")
    assert plan.corpus == tmp_path / "mine" / "corpus.jsonl"
    assert plan.data_dir == Path("data/x")  # made by the study: relative to the working directory


def test_what_is_left_out_has_a_default(tmp_path):
    plan = read_plan(written(tmp_path))
    assert (plan.raw, plan.corpus, plan.sample_size, plan.seed) == ("sample", None, "quickstart", 0)
    assert [run.command for run in plan.runs] == ["fit", "test", "fit", "fit"]
    assert (plan.all_seeds, plan.contrasts) == ((0,), None)
    assert plan.factors == {
        "rank": "model.init_args.lora.rank",
        "kl_coef": "model.init_args.kl_coef",
        "data": "data.init_args.version",
        "seed": "seed_everything",
    }
    assert [run.per_seed for run in plan.runs] == [None] * 4
    assert plan.runs[2].set == {"model.init_args.margin": 0.5}


def test_factors_are_added_to_the_usual_ones(tmp_path):
    plan = read_plan(written(tmp_path, factors={"lr": "model.init_args.learning_rate", "repeat": "seed_everything"}))
    assert plan.factors == {
        "rank": "model.init_args.lora.rank",
        "kl_coef": "model.init_args.kl_coef",
        "data": "data.init_args.version",
        "lr": "model.init_args.learning_rate",
        "repeat": "seed_everything",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_model": "lost"}, r"reward_model: 'lost' is none of the runs \['base', 'plain', 'rm', 'ppo'\]"),
        ({"runs": [*RUNS, RUNS[0]]}, r"run names stand twice: \['base'\]"),
        ({"runs": [RUNS[0] | {"steps_of": "ppo"}, *RUNS[1:]]}, r"base: steps_of: 'ppo' is none of the runs before it"),
        ({"final_ppo": "ppo"}, r"final_ppo: is no key of a study any more; .*`contrasts`: \[\{chain: "),
        ({"baseline": "plain"}, r"baseline: is no key of a study any more; .*`contrasts`"),
        ({"contrasts": [{"vary": "rank", "chain": ["base", "rm"]}]}, r"contrasts\.0: .*a contrast is \{vary: FACTOR\}"),
        ({"contrasts": [{"stage": "sft"}]}, r"contrasts\.0: .*a contrast is \{vary: FACTOR\}"),
        ({"contrasts": [{"chain": ["base"]}]}, r"contrasts\.0: chain: a chain needs two runs"),
        ({"contrasts": [{"chain": ["base", "base"]}]}, r"contrasts\.0: chain: 'base' stands twice"),
        ({"seeds": [0, -1]}, r"seeds: -1 is no seed; give whole numbers from 0 to 4294967295"),
        ({"seed": 2**32}, r"seeds: 4294967296 is no seed"),
        ({"contrasts": [{"varies": "rank"}]}, r"contrasts\.0\.varies: Extra inputs"),
        ({"factors": {"a": "x.y", "b": "x.y"}}, r"factors: .*two factors have the key 'x\.y'"),
        ({"seeds": [0, 1, 0]}, r"seeds: stand twice: \[0\]"),
        ({"runs": []}, r"trial\.yaml: runs: "),
        ({"name": "../out"}, r"trial\.yaml: name: "),
        ({"sead": 1}, r"trial\.yaml: sead: Extra inputs"),
        ({"runs": [RUNS[0] | {"overlay": "x"}]}, r"trial\.yaml: runs\.0\.overlay: "),
        ({"seed": "one"}, r"trial\.yaml: seed: "),
        ({"name": ".."}, r"trial\.yaml: name: "),
        ({"runs": [RUNS[0] | {"set": {"help": True}}]}, r"runs\.0\.set: help: is no setting of a run"),
        ({"runs": [RUNS[0] | {"set": {"model.help": "X"}}]}, r"runs\.0\.set: model\.help: is no setting"),
        ({"runs": [RUNS[0] | {"set": {"study": "x"}}]}, r"runs\.0\.set: study: is no setting of a run"),
        ({"runs": [RUNS[0] | {"set": {"a.b": date(2026, 1, 1)}}]}, r"runs\.0\.set: a\.b: .* is no plain value"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_plan(written(tmp_path, **changes))


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(UserError, match=r"lost\.yaml: cannot be read \(No such file or directory\)"):
        read_plan(tmp_path / "lost.yaml")
    (tmp_path / "odd.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"odd\.yaml: not YAML: "):
        read_plan(tmp_path / "odd.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"odd\.yaml: not YAML: "):
        read_plan(tmp_path / "odd.yaml")


def test_no_run_may_have_the_name_of_the_embedded_base(tmp_path):
    runs = [*RUNS[1:], {"name": "embedded", "config": "../pretrain.yaml"}]
    with pytest.raises(UserError, match="'embedded' names the base model that kochat brings"):
        read_plan(written(tmp_path, runs=runs))
