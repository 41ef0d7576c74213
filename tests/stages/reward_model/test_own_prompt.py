"""Does a reward model read the prompt: own answer against another prompt's, and labelled pairs by kind, on one rank and on two."""

import hashlib
import json
import math
import os
import re
import socket
import warnings
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from kochat.data.collators import LabelledPairCollator, PreferenceCollator
from kochat.data.mismatched_answers import OwnAnswer, other_answers
from kochat.engine.nan_guard import NonFiniteError
from kochat.metrics.choices import OWN_PROMPT_FLOOR
from kochat.stages.reward_model.data import LABELLED_PAIRS
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.reward_model.preference_scores import PreferenceScores
from kochat.stages.reward_model.reward_evaluation import LEAST_RECORDS, RewardEvaluation
from kochat.stages.reward_model.scored_batch import ScoredPairs
from tests.engine.toy import ToyChat, toy_trainer

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
NUMBER = 201


def code(text):
    """Return token ids that stand for a text: two numbers from its hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return [10 + digest[0] % 90, 10 + digest[1] % 90]


def row(index, worse):
    """Make a preference row; a topic joins prompt and best answer, and `worse` gives the topics of the worse ones."""
    topics = [index, *worse]
    texts = [f"{topic} 답{place}" for place, topic in enumerate(topics)]
    return {
        "id": f"r{index:03d}",
        "prompt": f"{index} 질문",
        "prompt_ids": [1000 + index],
        "completions": texts,
        "completion_ids": [[1000 + topic, *code(text), 0] for topic, text in zip(topics, texts, strict=True)],
    }


def preference_rows(number=NUMBER):
    """Make records whose worse answers answer other prompts, each with the answer to another prompt, as the DataModule does."""
    rows = [row(index, [(index + 7) % number, (index + 11) % number]) for index in range(number)]
    best = [each["completion_ids"][0] for each in rows]
    own = [OwnAnswer(each["id"], each["prompt"], each["completions"][0], len(best[0])) for each in rows]
    others = other_answers(own)
    return [
        {**each, "other": rows[other]["completions"][0], "other_ids": best[other]}
        for each, other in zip(rows, others, strict=True)
    ]


def pair_rows():
    """Make pairs: in the kind other_prompt the worse one has another topic, in noise both have the prompt's topic."""
    rows = []
    for index in range(9):
        for kind, topic in (("other_prompt", index + 1), ("noise", index)):
            texts = {"better": f"{index} 좋은 답", "worse": f"{topic} {kind}"}
            ids = {"better_ids": [1000 + index, 1, 1, 0], "worse_ids": [1000 + topic, 1, 1, 0]}
            rows.append(
                {
                    "id": f"{kind}{index}",
                    "prompt": f"{index} 질문",
                    "kind": kind,
                    "prompt_ids": [1000 + index],
                    **texts,
                    **ids,
                }
            )
    return rows


def reads(batch):
    """Score an answer by whether its topic, the second token, is that of the prompt, the first token."""
    return (batch.input_ids[:, 0] == batch.input_ids[:, 1]).float()


def ignores(batch):
    """Score an answer by its own tokens alone."""
    return torch.sin(batch.input_ids[:, 1:].float() @ torch.tensor([1.7, 3.1, 0.3, 0.0]))


class Judge(ToyChat):
    """Score by a function of the batch in place of a model; everything else is the reward model's own."""

    def __init__(self, score, number=NUMBER):
        super().__init__()
        self.score, self.number = score, number

    def scores(self, batch):
        return self.score(batch)

    _scored = RewardModule._scored

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return self._scored(batch)

    test_step = RewardModule.test_step

    def train_dataloader(self):
        return DataLoader(torch.ones(2, 1), batch_size=1)

    def val_dataloader(self):
        return DataLoader(preference_rows(self.number), batch_size=4, collate_fn=PreferenceCollator(0))

    def test_dataloader(self):
        pairs = DataLoader(pair_rows(), batch_size=4, collate_fn=LabelledPairCollator(0))
        return [self.val_dataloader(), pairs]


def fit(tmp_path, score, number=NUMBER, **settings):
    """Fit with a validation at the end; return (trainer, warnings about the prompt)."""
    trainer = toy_trainer(tmp_path, RewardEvaluation(), **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(Judge(score, number))
    return trainer, [str(each.message) for each in caught if "reads the prompt" in str(each.message)]


def test_a_reward_model_that_reads_the_prompt_is_right_and_warns_of_nothing(tmp_path):
    trainer, said = fit(tmp_path, reads)
    assert trainer.callback_metrics["rm/own_prompt_accuracy"] == 1.0
    assert said == []


def test_a_reward_model_that_ignores_the_prompt_is_at_chance_and_warns_once(tmp_path):
    trainer, said = fit(tmp_path, ignores, max_epochs=3)
    value = trainer.callback_metrics["rm/own_prompt_accuracy"].item()
    assert abs(value - 0.5) < 3 * 0.5 / math.sqrt(NUMBER)
    assert len(said) == 1
    assert f"rm/own_prompt_accuracy={value:.2f}" in said[0]
    assert "worse completions are good answers to other prompts" in said[0]


def test_a_constant_score_counts_as_chance(tmp_path):
    trainer, said = fit(tmp_path, lambda batch: torch.zeros(len(batch.lengths)))
    assert trainer.callback_metrics["rm/own_prompt_accuracy"] == 0.5
    assert len(said) == 1


@pytest.mark.skipif(not DOCS.exists(), reason="the docs folder is not part of this distribution")
def test_the_docs_state_the_threshold():
    (line,) = [
        line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `rm/own_prompt_accuracy`")
    ]
    assert re.search(rf"under {OWN_PROMPT_FLOOR}\b", line)


@pytest.mark.parametrize(("right", "warned"), [(151, 0), (150, 1)])
def test_the_threshold(tmp_path, right, warned):
    """151 of 201 are 0.751, 150 are 0.746."""

    def score(batch):
        own = reads(batch)
        return torch.where(batch.input_ids[:, 0] < 1000 + right, own, -own)

    assert len(fit(tmp_path, score)[1]) == warned


@pytest.mark.parametrize(("records", "warned"), [(LEAST_RECORDS - 1, 0), (LEAST_RECORDS, 1)])
def test_a_few_records_warn_of_nothing(tmp_path, records, warned):
    """The smoke study has three held-out records; of them, none right says nothing."""
    assert len(fit(tmp_path, lambda batch: torch.zeros(len(batch.lengths)), records)[1]) == warned


def test_a_validation_after_the_training_does_not_warn_again(tmp_path):
    """`fit` validates the final weights if the last validation was some steps earlier."""
    callback = RewardEvaluation()
    trainer = toy_trainer(tmp_path, callback)
    judge = Judge(ignores)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(judge)
        trainer.validate(judge, verbose=False)
        alone = toy_trainer(tmp_path, RewardEvaluation())
        alone.validate(judge, verbose=False)
    assert sum("reads the prompt" in str(each.message) for each in caught) == 2  # one of each trainer


def test_tensorboard_has_the_warning(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="run")
    fit(tmp_path, ignores, logger=logger)
    events = EventAccumulator(logger.log_dir, size_guidance={"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("rm/own_prompt_warning/text_summary")
    assert "hardly reads the prompt" in event.tensor_proto.string_val[0].decode()


def run_test(folder, score, **settings):
    callbacks = (RewardEvaluation(), PreferenceScores())
    trainer = toy_trainer(folder, *callbacks, logger=CSVLogger(folder, name="run", version=0), **settings)
    trainer.test(Judge(score), verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_test_logs_each_kind_and_writes_every_pair(tmp_path):
    figures = run_test(tmp_path, reads)
    assert figures["rm/test_own_prompt_accuracy"] == 1.0
    kinds = {name: value for name, value in figures.items() if name.startswith("rm/test_pairs/")}
    assert kinds == {"rm/test_pairs/other_prompt": 1.0, "rm/test_pairs/noise": 0.5}  # equal scores count half
    folder = tmp_path / "run/version_0"
    pairs = {pair["id"]: pair for pair in lines(folder / "pair_scores.jsonl")}
    assert len(pairs) == 18
    assert pairs["other_prompt3"] == {
        "id": "other_prompt3", "prompt": "3 질문", "better": "3 좋은 답", "worse": "4 other_prompt",
        "kind": "other_prompt", "scores": [1.0, 0.0],
    }  # fmt: skip
    records = lines(folder / "rm_scores.jsonl")
    assert len(records) == NUMBER
    assert {record["other_score"] for record in records} == {0.0}
    assert all(record["other"] != record["completions"][0] for record in records)


def test_rows_whose_worse_answers_answer_other_prompts_work_in_all_figures(tmp_path):
    figures = run_test(tmp_path, reads)
    assert figures["rm/test_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)  # best over both; the two worse ones tie
    assert figures["rm/test_margin"] == 1.0
    assert not any(map(math.isnan, figures.values()))


def test_a_score_of_an_answer_to_another_prompt_must_be_finite(tmp_path):
    def score(batch):
        found = reads(batch)
        return torch.where(batch.grades == 3, torch.tensor(math.nan), found)

    with pytest.raises(NonFiniteError, match="validation batch 0 is not finite"):
        fit(tmp_path, score)


def test_a_score_of_a_labelled_pair_must_be_finite():
    pairs = ScoredPairs(["a"], ["?"], [("가", "나")], ["wrong"], torch.tensor([[1.0, math.inf]]))
    with pytest.raises(NonFiniteError, match="labelled test batch 2 is not finite"):
        RewardEvaluation().on_test_batch_end(None, None, pairs, None, 2, LABELLED_PAIRS)


def test_without_labelled_pairs_there_is_no_file(tmp_path):
    trainer = toy_trainer(tmp_path, RewardEvaluation(), PreferenceScores())
    trainer.test(Judge(reads), Judge(reads).val_dataloader(), verbose=False)
    assert (tmp_path / "rm_scores.jsonl").is_file()
    assert not (tmp_path / "pair_scores.jsonl").exists()
    assert not any("pairs/" in name for name in trainer.callback_metrics)


def run_rank(rank, port, folder):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run_test(folder, ignores, devices=2, strategy="ddp")


def figures_in(folder):
    header, *rows = (folder / "run/version_0/metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    return {name: float(row[name]) for row in rows for name in row if name.startswith("rm/") and row[name]}


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    """201 records on two ranks: the sampler repeats one, which must not count twice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, args=(port, tmp_path / "two"), nprocs=2)
    run_test(tmp_path / "one", ignores)
    one, two = figures_in(tmp_path / "one"), figures_in(tmp_path / "two")
    assert {"rm/test_own_prompt_accuracy", "rm/test_pairs/other_prompt", "rm/test_pairs/noise"} <= set(one)
    assert two == pytest.approx(one)
    for name in ("pair_scores.jsonl", "rm_scores.jsonl"):
        ids = [
            sorted(line["id"] for line in lines(tmp_path / ranks / "run/version_0" / name)) for ranks in ("one", "two")
        ]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == len(ids[0])
