import json

import pytest

from kochat.stages import stages_by_name
from kochat.study.conclusions import make_findings
from kochat.study.stage_reports import find_stage_reports
from tests.report.synthetic import read_view, write_study


def findings(folder, lang="en"):
    view = read_view(folder, lang)
    found = make_findings(view, find_stage_reports(view, stages_by_name()))
    return {heading: [one.text for one in sentences] for heading, sentences in found}


def set_metric(folder, run, metric, value):
    path = folder / run / "version_0/done.json"
    done = json.loads(path.read_text(encoding="utf-8"))
    done["metrics"][metric] = value
    path.write_text(json.dumps(done), encoding="utf-8")


def set_scores(folder, run, name, value):
    """Give every test answer of a run the score `value(index)`."""
    path = folder / run / "version_0/scored.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for index, row in enumerate(rows):
        row["scores"][name] = value(index)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path, prompts=24)


@pytest.mark.slow
def test_the_kl_sentence_follows_the_numbers(folder):
    set_metric(folder, "ppo_kl01", "ppo/val_kl", 0.8)
    set_metric(folder, "ppo_kl05", "ppo/val_kl", 0.2)
    assert findings(folder)["PPO: KL coefficient"][2:3] == [
        "PPO kl_coef 0.5 stays closer to SFT: KL 0.2000, against 0.8000 for PPO kl_coef 0.1."
    ]
    set_metric(folder, "ppo_kl05", "ppo/val_kl", 0.9)
    assert findings(folder)["PPO: KL coefficient"][2:3] == [
        "PPO kl_coef 0.5 does not stay closer to SFT: KL 0.9000, against 0.8000 for PPO kl_coef 0.1."
    ]
    assert findings(folder, "ko")["PPO: KL 계수"][2:3] == [
        "PPO kl_coef 0.5가 PPO kl_coef 0.1보다 SFT에 가깝지 않다: KL 0.9000 대 0.8000."
    ]


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (lambda index: 2.0, "Reward: PPO kl_coef 0.1 (2.000) is higher than SFT rank 16 (1.000), difference +1.000"),
        (lambda index: 0.5, "Reward: PPO kl_coef 0.1 (0.500) is lower than SFT rank 16 (1.000), difference -0.500"),
        (
            lambda index: 1.0 + (-1) ** index,
            "Reward: PPO kl_coef 0.1 (1.000) and SFT rank 16 (1.000) cannot be told apart",
        ),
    ],
)
def test_the_reward_sentence_follows_the_interval(folder, reward, says):
    set_scores(folder, "sft_lora16", "reward", lambda index: 1.0)
    set_scores(folder, "ppo_kl01", "reward", reward)
    assert findings(folder)["PPO: KL coefficient"][0].startswith(says)


def test_the_reward_models_chance_level_is_said(folder):
    for rank in (0, 8, 16):
        path = folder / f"rm_lora{rank}/version_0/rm_scores.jsonl"
        rows = [{"id": str(i), "scores": [2.0, 1.0, 0.0] if i % 2 else [0.0, 1.0, 2.0]} for i in range(20)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = findings(folder)["Reward model: LoRA rank"]
    assert said[0].startswith("Pair accuracy is highest for Reward model rank 0 (full): 50.0% (")
    assert said[1] == "The interval includes chance (50%)."
    assert said[2].startswith("The difference from Reward model rank 16 is not clear: +0.0 pp")


def test_the_lowest_validation_loss_is_named(folder):
    for run, loss in (("sft_lora0", 1.5), ("sft_lora8", 1.25), ("sft_lora16", 2.0)):
        set_metric(folder, run, "sft/val_loss", loss)
    assert findings(folder)["SFT: LoRA rank"][0] == "Validation loss is lowest for SFT rank 8: 1.250."


def courses(folder):
    return [
        said
        for said in findings(folder)["Step by step"]
        if "each step of Baseline → SFT rank 16 → PPO kl_coef 0.1" in said
    ]


@pytest.mark.slow
def test_a_rise_at_each_step_is_claimed_only_where_it_is_clear(folder):
    for run, text in (("baseline", "모름"), ("sft_lora16", "수도는 모름"), ("ppo_kl01", None)):
        _set_answers(folder, run, text)
    assert [said.split(" at each step")[0] for said in courses(folder)] == ["BLEU rises", "ROUGE-L rises"]
    _set_answers(folder, "ppo_kl01", "모름")
    assert [said.split(" at each step")[0] for said in courses(folder)] == [
        "BLEU does not rise",
        "ROUGE-L does not rise",
    ]
    _set_answers(folder, "ppo_kl01", "수도는 모름", first=None)
    assert [said.split(" of ")[0] for said in courses(folder)] == [
        "BLEU grows at each step",
        "ROUGE-L grows at each step",
    ]
    assert all("but not clearly at each" in said for said in courses(folder))


def test_each_step_of_a_chain_is_compared(folder):
    said = findings(folder)["Step by step"]
    pairs = [sentence.split(": ", 1)[1].split(",")[0] for sentence in said if sentence.startswith("Hallucination rate")]
    assert [("SFT rank 16" in pair, "Baseline" in pair, "PPO kl_coef 0.1" in pair) for pair in pairs] == [
        (True, True, False),
        (True, False, True),
    ]


def test_no_sentence_is_said_twice(folder):
    said = [sentence for sentences in findings(folder).values() for sentence in sentences]
    assert len(set(said)) == len(said)


def test_findings_without_their_runs_are_left_out(tmp_path):
    gone = frozenset({"ppo_kl05", "rm_lora0", "rm_lora8", "rm_lora16", "baseline"})
    found = findings(write_study(tmp_path, without=gone, prompts=6))
    assert set(found) == {"Data cleaning", "SFT: LoRA rank", "Step by step"}
    assert all("Baseline" not in said and "rises" not in said for said in found["Step by step"])


def _set_answers(folder, run, text, first=""):
    """Let a run answer `text` (None: the reference) to every prompt; `first=None` gives the reference to the first."""
    path = folder / run / "version_0/scored.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for index, row in enumerate(rows):
        wanted = first if index == 0 and first != "" else text
        row["answer"] = (row["reference"] or "") if wanted is None else wanted
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def set_verdicts(folder, run, verdict):
    """Give every judged answer of a run the verdict `verdict(index)`."""
    path = folder / run / "version_0/scored.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for index, row in enumerate(row for row in rows if row["scores"].get("verdict")):
        row["scores"]["verdict"] = verdict(index)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("reward", "wrong", "warned"), [(2.0, "wrong", True), (2.0, "correct", False), (0.5, "wrong", False)]
)
def test_a_reward_that_rises_while_facts_get_worse_is_warned_of(folder, reward, wrong, warned):
    set_scores(folder, "sft_lora16", "reward", lambda index: 1.0)
    set_scores(folder, "ppo_kl01", "reward", lambda index: reward)
    set_verdicts(folder, "sft_lora16", lambda index: "correct")
    set_verdicts(folder, "ppo_kl01", lambda index: wrong if index % 2 else "correct")
    said = [one for one in findings(folder)["PPO: KL coefficient"] if one.startswith("Warning")]
    assert any("the reward of PPO kl_coef 0.1 rose above that of SFT rank 16" in one for one in said) == warned
