"""Contrasts: which runs are compared, held apart in one factor alone or chained."""

import pytest

from kochat.errors import UserError
from kochat.study.contrasts import ContrastMaker
from kochat.study.factors import find_factors
from kochat.study.plan import DEFAULT_FACTORS, PlannedContrast
from tests.study.runs_by_hand import run


def sft(rank, version="v2", lr=0.1, **more):
    name = more.pop("name", f"sft{rank}{'' if version == 'v2' else version}")
    return run(name, model={"lora__rank": rank, "learning_rate": lr}, data={"version": version}, **more)


def ppo(kl, policy="sft16", **more):
    return run(more.pop("name", f"ppo{kl}"), "ppo", model={"kl_coef": kl}, sources={"policy": policy}, **more)


def maker(*runs):
    return ContrastMaker(runs, find_factors(runs, DEFAULT_FACTORS))


STUDY = [
    run("plain", "baseline", data={"version": "v2"}),
    sft(0), sft(8), sft(16), sft(16, "v1"), ppo(0.1), ppo(0.5),
]  # fmt: skip


def test_one_factor_varies_and_the_rest_is_held():
    [entry] = maker(*STUDY).planned([PlannedContrast(vary="rank", stage="sft")])
    assert entry.groups == [["sft0", "sft8", "sft16"]]  # by rank; v1 of rank 16 differs in its data too
    [entry] = maker(*STUDY).planned([PlannedContrast(vary="data")])
    assert (entry.stage, entry.groups) == ("sft", [["sft16v1", "sft16"]])


def test_what_follows_from_a_factor_may_change_with_it_and_is_said():
    runs = [sft(0, lr=0.5), sft(8), sft(16)]
    [entry] = maker(*runs).planned([PlannedContrast(vary="rank")])
    assert (entry.groups, entry.tied) == ([["sft0", "sft8", "sft16"]], ["learning_rate"])
    free = [sft(8, lr=0.5, name="other"), sft(8), sft(16)]
    [entry] = maker(*free).planned([PlannedContrast(vary="rank")])
    assert (entry.groups, entry.tied) == ([["sft8", "sft16"]], [])


def test_a_chain_is_followed_once_for_every_seed():
    runs = [
        run("plain", "baseline"),
        *(sft(16, name=f"sft_seed{seed}", origin="sft", seed=seed) for seed in (0, 1)),
        *(ppo(0.1, f"sft_seed{seed}", name=f"ppo_seed{seed}", origin="ppo", seed=seed) for seed in (0, 1)),
    ]
    chains = maker(*runs).planned([PlannedContrast(chain=("plain", "sft", "ppo"), name="steps")])
    assert [entry.chain for entry in chains] == [
        ["plain", "sft_seed0", "ppo_seed0"],
        ["plain", "sft_seed1", "ppo_seed1"],
    ]
    assert {entry.name for entry in chains} == {"steps"}
    [one] = maker(*runs).planned([PlannedContrast(chain=("plain", "sft_seed1"))])
    assert one.chain == ["plain", "sft_seed1"]
    [pair] = maker(*runs).planned([PlannedContrast(chain=("sft", "ppo_seed1"))])
    assert pair.chain == ["sft_seed1", "ppo_seed1"]  # the SFT model that this PPO started from
    with pytest.raises(UserError, match="chain: sft_seed0 and ppo_seed1 have different seeds"):
        maker(*runs).planned([PlannedContrast(chain=("sft_seed0", "ppo", "ppo_seed1"))])


def test_without_contrasts_every_factor_is_varied_and_the_last_run_followed_back():
    entries = maker(*STUDY).default()
    assert [(entry.vary, entry.stage, entry.groups) for entry in entries[:-1]] == [
        ("rank", "sft", [["sft0", "sft8", "sft16"]]),
        ("data", "sft", [["sft16v1", "sft16"]]),
        ("kl_coef", "ppo", [["ppo0.1", "ppo0.5"]]),
    ]
    assert entries[-1].chain == ["plain", "sft16", "ppo0.5"]


def test_a_model_that_starts_from_the_baseline_has_it_once_in_its_chain():
    entries = maker(run("plain", "baseline"), sft(16, sources={"base": "plain"})).default()
    assert [entry.chain for entry in entries] == [["plain", "sft16"]]


def test_an_untrained_run_that_starts_from_another_is_no_baseline():
    best = run("best", "best_of_n", sources={"policy": "sft16"})
    entries = maker(sft(16), best, ppo(0.1)).default()
    assert [entry.chain for entry in entries] == [["sft16", "ppo0.1"]]
    entries = maker(run("plain", "baseline"), sft(16), best, ppo(0.1)).default()
    assert [entry.chain for entry in entries] == [["plain", "sft16", "ppo0.1"]]


def test_runs_that_start_from_nothing_have_no_default_chain():
    assert [entry.chain for entry in maker(sft(8), sft(16)).default()] == [[]]


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        ({"vary": "speed"}, r"vary: 'speed' is no factor of this study; it has rank, kl_coef, data, seed"),
        ({"vary": "rank", "stage": "rm"}, r"stage: 'rm' is no stage of this study; it has baseline, sft, ppo"),
        ({"vary": "seed"}, r"vary: no two runs differ in seed alone"),
        ({"vary": "kl_coef", "stage": "sft"}, r"vary: no two runs of the stage sft differ in kl_coef alone"),
        ({"chain": ("plain", "lost")}, r"chain: 'lost' is no run of this study; it has plain, sft0, sft8"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(contrast, message):
    with pytest.raises(UserError, match=message):
        maker(*STUDY).planned([PlannedContrast(**contrast)])
