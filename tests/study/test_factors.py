"""Factors are read from configs, and whatever two runs differ in tells them apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kochat.config_types import ModelSource
from kochat.errors import UserError
from kochat.report.run_labels import label_runs
from kochat.report.study_files import RunEntry, StageEntry, StudyFile
from kochat.report.words import Texts
from kochat.study.factors import find_factors
from kochat.study.plan import DEFAULT_FACTORS
from tests.study.runs_by_hand import run


def lora(rank, **more):
    return {"lora__rank": rank, "lora__dropout": 0.0} | more


def study_of(runs, named=DEFAULT_FACTORS):
    factors = find_factors(runs, named)
    stages = dict.fromkeys(run.stage.name for run in runs)
    return StudyFile(
        name="x",
        factors=factors.keys,
        stages=[StageEntry(name=s, varying=factors.varying[s], tied=factors.tied[s]) for s in stages],
        contrasts=[],
        runs=[RunEntry(name=r.name, stage=r.stage.name, path="x", factors=factors.values[r.name]) for r in runs],
    )


PACKAGES = [f"kochat.stages.{name}" for name in ("pretrain", "baseline", "sft", "reward_model", "ppo")]


def labels(runs, lang="en"):
    return list(label_runs(study_of(runs), Texts(lang, PACKAGES)).values())


def test_a_factor_is_inherited_from_what_a_run_starts_from():
    runs = [
        run("rm", "rm", model=lora(4)),
        run("sft", model=lora(16)),
        run("ppo", "ppo", model={"kl_coef": 0.1}, sources={"reward_model": "rm", "policy": "sft"}),
        run("hub", "ppo", model={"kl_coef": 0.1}, sources={"reward_model": "rm", "policy": "skt/kogpt2"}),
    ]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.values["ppo"]["rank"] == 16  # the policy's, though the reward model stands first
    assert factors.values["hub"]["rank"] == 4
    assert factors.sources["ppo"] == {"model.init_args.reward_model": "rm", "model.init_args.policy": "sft"}
    assert factors.values["sft"]["kl_coef"] is None


def test_a_null_is_a_value_and_is_not_inherited():
    runs = [
        run("sft", model=lora(16) | {"cap": 5}),
        run("sft2", model=lora(16) | {"cap": 6}),
        run("ppo", "ppo", model={"cap": None}, sources={"policy": "sft"}),
    ]
    assert find_factors(runs, DEFAULT_FACTORS).values["ppo"]["cap"] is None


def test_labels_are_todays_where_nothing_else_varies():
    runs = [
        run("baseline", "baseline", data={"version": "v2"}),
        *(run(f"sft{rank}", model=lora(rank), data={"version": "v2"}) for rank in (0, 16)),
        run("sft16v1", model=lora(16), data={"version": "v1"}),
        *(run(f"ppo{kl}", "ppo", model={"kl_coef": kl}, sources={"policy": "sft16"}) for kl in (0.1, 0.5)),
    ]
    assert labels(runs) == [
        "Baseline", "SFT rank 0 (full)", "SFT rank 16", "SFT rank 16 v1", "PPO kl_coef 0.1", "PPO kl_coef 0.5",
    ]  # fmt: skip
    assert labels(runs, "ko")[:2] == ["기준 모델", "SFT rank 0(전체 학습)"]


def test_whatever_else_differs_is_a_factor_named_after_its_key():
    runs = [run("a", model=lora(8) | {"learning_rate": 1e-3}), run("b", model=lora(8) | {"learning_rate": 1e-2})]
    assert find_factors(runs, DEFAULT_FACTORS).keys["learning_rate"] == "model.init_args.learning_rate"
    assert labels(runs) == ["SFT learning_rate 0.001", "SFT learning_rate 0.01"]


def test_a_name_that_two_keys_share_gets_more_parts():
    settings_of = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)]
    runs = [
        run(f"r{number}", model={"head__scale": head}, data={"scale": scale}, trainer__rank=rank)
        for number, (head, scale, rank) in enumerate(settings_of)
    ]
    found = {name: key for name, key in find_factors(runs, DEFAULT_FACTORS).keys.items() if name not in DEFAULT_FACTORS}
    assert found == {
        "head.scale": "model.init_args.head.scale",
        "data.scale": "data.init_args.scale",
        "trainer.rank": "trainer.rank",  # `rank` is the study's own name
    }


def test_names_and_places_are_no_difference():
    runs = [run("a", model=lora(8), logs_dir="x"), run("b", model=lora(8), logs_dir="y")]
    with pytest.raises(UserError, match=r"a and b differ in nothing but their names"):
        find_factors(runs, DEFAULT_FACTORS)


def test_an_input_whose_factors_the_run_shows_is_no_factor():
    runs = [
        *(run(f"sft{rank}", model=lora(rank)) for rank in (8, 16)),
        *(run(f"ppo{rank}", "ppo", model={"kl_coef": 0.1}, sources={"policy": f"sft{rank}"}) for rank in (8, 16)),
    ]
    assert "policy" not in find_factors(runs, DEFAULT_FACTORS).keys
    assert labels(runs)[2:] == ["PPO rank 8", "PPO rank 16"]


def test_an_input_that_differs_in_more_than_the_run_shows_is_a_factor():
    """PPO has a learning rate of its own: that of its SFT model is seen in the policy's name alone."""
    runs = [
        *(run(f"sft_{name}", model=lora(8) | {"learning_rate": lr}) for name, lr in (("a", 0.1), ("b", 0.2))),
        *(
            run(f"ppo_{name}", "ppo", model={"kl_coef": kl, "learning_rate": 0.3}, sources={"policy": f"sft_{name}"})
            for name, kl in (("a", 0.1), ("b", 0.5))
        ),
    ]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.keys["policy"] == "model.init_args.policy"
    assert factors.varying["ppo"] == ["kl_coef", "policy"]


def test_reward_models_tell_ppo_runs_apart():
    runs = [
        run("sft", model=lora(16)),
        *(run(f"rm{rank}", "rm", model=lora(rank)) for rank in (8, 16)),
        *(run(f"ppo{rank}", "ppo", sources={"policy": "sft", "reward_model": f"rm{rank}"}) for rank in (8, 16)),
        run("ppo_hub", "ppo", sources={"policy": "sft", "reward_model": "some/model"}),
    ]
    assert labels(runs)[3:] == ["PPO reward_model rm8", "PPO reward_model rm16", "PPO reward_model some/model"]


def test_a_factor_that_follows_from_another_is_shown_where_it_is_unusual():
    runs = [run(f"sft{rank}", model=lora(rank) | {"learning_rate": lr}) for rank, lr in ((0, 0.1), (8, 0.5), (16, 0.5))]
    assert find_factors(runs, DEFAULT_FACTORS).tied["sft"] == {"learning_rate": "rank"}
    assert labels(runs) == ["SFT rank 0 (full) learning_rate 0.1", "SFT rank 8", "SFT rank 16"]


def test_seeds_are_told_apart_and_the_shuffle_follows_them():
    runs = [
        run(f"sft_{rank}_seed{seed}", origin=f"sft_{rank}", seed=seed, model=lora(rank), data={"seed": seed})
        for rank in (8, 16)
        for seed in (0, 1)
    ]
    assert labels(runs) == ["SFT rank 8 seed 0", "SFT rank 8 seed 1", "SFT rank 16 seed 0", "SFT rank 16 seed 1"]
    assert list(find_factors(runs, DEFAULT_FACTORS).keys) == ["rank", "kl_coef", "data", "seed"]


def test_a_group_that_a_run_lacks_is_one_factor():
    runs = [run("a", model={"retrieval": None}), run("b", model={"retrieval__top": 3, "retrieval__index": "x"})]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.varying["sft"] == ["retrieval"]
    assert len(set(labels(runs))) == 2
    ranked = [run("a", model={"lora": None}), run("b", model=lora(8))]  # the rank says it already
    assert find_factors(ranked, DEFAULT_FACTORS).varying["sft"] == ["rank"]


def test_a_named_factor_that_no_config_has_is_an_error():
    with pytest.raises(UserError, match=r"factors: speed: no run's config has 'model\.init_args\.sped'"):
        find_factors([run("a")], DEFAULT_FACTORS | {"speed": "model.init_args.sped"})
    runs = [run("a", model={"target_kl": None})]  # null is a value
    assert find_factors(runs, DEFAULT_FACTORS | {"target": "model.init_args.target_kl"}).values["a"]["target"] is None


def test_a_run_may_not_start_from_a_later_one():
    with pytest.raises(UserError, match=r"run ppo: model\.init_args\.policy=sft comes after it in the study"):
        find_factors([run("ppo", "ppo", sources={"policy": "sft"}), run("sft")], DEFAULT_FACTORS)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["v1", "v2", "1", "0.5", "rank 8"]),
    st.lists(st.integers(0, 2), max_size=2),
)
CONFIGS = st.lists(
    st.fixed_dictionaries(
        {"rank": st.sampled_from([0, 8, 16]), "seed": st.integers(0, 2), "version": st.sampled_from(["v1", "v2"])},
        optional={
            "learning_rate": VALUES,
            "scale": VALUES,
            "head__scale": VALUES.filter(lambda value: value is not None),
        },
    ),
    min_size=2,
    max_size=6,
)


def canonical(config):
    """Return what is the same for the same setting: 1 and 1.0 are one value, no key and null too, True and 1 are two."""
    told = {k: float(v) + 0.0 if type(v) in (int, float) else v for k, v in config.items() if v is not None}
    return repr(sorted((k, repr(v)) for k, v in told.items()))


def run_of(name, stage, config):
    own = {key: value for key, value in config.items() if key not in ("rank", "seed", "version")}
    model = {"lora__rank": config["rank"]} | own
    return run(name, stage, seed=config["seed"], data={"version": config["version"]}, model=model)


@settings(max_examples=200, deadline=None)
@given(CONFIGS, st.sampled_from(["sft", "ppo"]))
def test_two_runs_have_two_labels_or_are_an_error(configs, stage):
    runs = [run_of(f"r{number}", stage, config) for number, config in enumerate(configs)]
    if len(set(map(canonical, configs))) < len(configs):
        with pytest.raises(UserError, match="differ in nothing but their names"):
            labels(runs)
    else:
        assert len(set(labels(runs))) == len(runs)


def test_the_word_of_a_stage_is_its_name_where_its_words_are_not_at_hand():
    study = StudyFile(name="x", factors={}, stages=[], contrasts=[], runs=[RunEntry(name="a", stage="odd", path="x")])
    assert label_runs(study, Texts("en")) == {"a": "odd"}


def test_what_differs_upstream_of_an_input_tells_runs_apart():
    """SFT shows its base, PPO does not: that the two bases differ must be seen in PPO's policy, not in the rank alone."""
    runs = [
        *(run(f"pre_{name}", "pretrain", model={"learning_rate": lr}) for name, lr in (("a", 1), ("b", 2))),
        *(
            run(f"sft_{n}", model=lora(rank) | {"learning_rate": 3}, sources={"base": f"pre_{n}"})
            for n, rank in (("a", 8), ("b", 16))
        ),
        *(run(f"ppo_{n}", "ppo", model={"learning_rate": 4}, sources={"policy": f"sft_{n}"}) for n in "ab"),
    ]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.varying["ppo"] == ["rank", "policy"]
    assert factors.tied["ppo"] == {"policy": "rank"}


def seeded(name, stage, seed, **more):
    return run(f"{name}_seed{seed}", stage, origin=name, seed=seed, **more)


def test_an_input_with_another_seed_than_the_run_is_a_factor():
    runs = [
        *(seeded("rm", "rm", seed, model=lora(16)) for seed in (0, 1)),
        run("ppo_a", "ppo", model={"kl_coef": 0.1}, sources={"reward_model": "rm_seed0"}),
        run("ppo_b", "ppo", model={"kl_coef": 0.5}, sources={"reward_model": "rm_seed1"}),
    ]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.varying["ppo"] == ["kl_coef", "reward_model"]
    assert [factors.values[name]["reward_model"] for name in ("ppo_a", "ppo_b")] == ["rm", "rm_seed1"]
    alike = [*runs[:2], *(run(f"p{seed}", "ppo", sources={"reward_model": f"rm_seed{seed}"}) for seed in (0, 1))]
    assert find_factors(alike, DEFAULT_FACTORS).varying["ppo"] == ["reward_model"]


def test_a_list_of_inputs_is_one_factor_without_the_runs_own_seed():
    runs = [
        run("sft", model=lora(8)),
        *(seeded("rm2", "rm", seed, model=lora(8)) for seed in (0, 1)),
        *(
            seeded(name, "ppo", seed, model={"ensemble": models(seed)}, sources={"policy": "sft"})
            for name, models in (("ppo", lambda seed: []), ("ppo_e", lambda seed: [ModelSource(f"rm2_seed{seed}")]))
            for seed in (0, 1)
        ),
    ]
    factors = find_factors(runs, DEFAULT_FACTORS)
    assert factors.varying["ppo"] == ["ensemble", "seed"]
    assert factors.values["ppo_e_seed1"]["ensemble"] == ["rm2"]


def test_the_steps_of_another_run_are_a_factor_unless_they_are_those_of_its_twin():
    runs = [run("v2", data={"version": "v2"}), run("v1", data={"version": "v1"}, steps_of="v2")]
    assert find_factors(runs, DEFAULT_FACTORS).varying["sft"] == ["data"]  # the control: as many steps, other data
    free = [*runs, run("v1_longer", data={"version": "v1"})]
    factors = find_factors(free, DEFAULT_FACTORS)
    assert factors.varying["sft"] == ["data", "steps_of"]
    assert factors.values["v1"]["steps_of"] == "v2"


def test_found_factors_that_change_together_are_tied():
    runs = [run(n, model=lora(8) | {"learning_rate": lr, "warmup": w}) for n, lr, w in (("a", 1, 5), ("b", 2, 6))]
    assert find_factors(runs, DEFAULT_FACTORS).tied["sft"] == {"warmup": "learning_rate"}
    one_way = [
        run(n, model=lora(8) | {"learning_rate": lr, "warmup": w})
        for n, lr, w in (("a", 1, 5), ("b", 2, 6), ("c", 3, 6))
    ]
    assert find_factors(one_way, DEFAULT_FACTORS).tied["sft"] == {"warmup": "learning_rate"}
