"""Answers are scored, shown and written once each, whatever the modes and the ranks."""

import json
import os
import socket

import pytest
import torch
import torch.multiprocessing as mp
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kochat.engine.answer_evaluation import AnswerEvaluation, evaluating, rows_of, score_rows
from kochat.engine.answering import AnsweredBatch
from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.metrics.text_overlap import text_metrics
from tests.engine.toy import PROMPTS, ToyChat, ToyData, toy_trainer

SCORED = [row for row in PROMPTS if row["reference"] is not None]


def expected_figures(rows, legacy=True):
    figures = {}
    for name, metric in text_metrics(legacy=legacy).items():
        metric.update(*([row[key] for row in rows] for key in ("id", "answer", "reference")))
        figures[name] = metric.compute().item()
    return figures


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_test_logs_figures_and_writes_samples(tmp_path):
    logger = CSVLogger(tmp_path, name="run")
    trainer = toy_trainer(tmp_path, AnswerEvaluation(), logger=logger)
    trainer.test(ToyChat(), ToyData(), verbose=False)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert logged == pytest.approx({f"test/{name}": value for name, value in expected_figures(SCORED).items()})

    rows = read_jsonl(tmp_path / "run" / "version_0" / "samples.jsonl")
    assert [row["id"] for row in rows] == ["a", "b", "c", "d", "e"]
    assert rows[0] == {
        "id": "a",
        "prompt": "수도는?",
        "reference": "서울이에요",
        "answer": "서울이에요",
        "kind": "trained",
        "scores": {"bleu": 1.0, "rouge_l": 1.0, "chrf": 1.0},
    }
    # 안녕 against 안녕하세요: ROUGE-L 2 * 2 / (2 + 5).
    assert rows[1]["scores"]["rouge_l"] == pytest.approx(4 / 7)
    # Without a reference there is no score; conjoining jamo are shown as ㅋㅋ.
    assert rows[2] == {**rows[2], "reference": None, "kind": "fixed", "answer": "몰라요 ㅋㅋ", "scores": {}}
    assert list((tmp_path / "run" / "version_0").glob("*.tmp")) == []


def test_two_tests_in_a_row_do_not_add_up(tmp_path):
    trainer = toy_trainer(tmp_path, AnswerEvaluation())
    for _ in range(2):
        trainer.test(ToyChat(), ToyData(), verbose=False)
    assert len(read_jsonl(tmp_path / "samples.jsonl")) == len(PROMPTS)


def test_validation_scores_the_limited_prompts_without_dropout_or_gradient(tmp_path):
    model = ToyChat()
    trainer = toy_trainer(tmp_path, AnswerEvaluation(num_validation=4), num_sanity_val_steps=2)
    trainer.fit(model, ToyData())
    assert model.calls == [(["a", "b"], False, False), (["c", "d"], False, False)]
    expected = expected_figures([row for row in SCORED if row["id"] in "abd"], legacy=False)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    assert logged == pytest.approx({f"val/{name}": value for name, value in expected.items()})


def test_validation_runs_every_nth_time_and_not_at_all_with_no_prompts(tmp_path):
    model = ToyChat()
    toy_trainer(tmp_path, AnswerEvaluation(2, every_n_validations=2), max_epochs=5).fit(model, ToyData())
    assert len(model.calls) == 2
    model = ToyChat()
    toy_trainer(tmp_path, AnswerEvaluation(num_validation=0)).fit(model, ToyData())
    assert model.calls == []


def test_the_count_of_validations_survives_a_checkpoint():
    first, second = AnswerEvaluation(every_n_validations=3), AnswerEvaluation(every_n_validations=3)
    first._validations = 2
    second.load_state_dict(first.state_dict())
    assert second._validations == 2


def test_tensorboard_shows_the_answer_and_never_runs_it(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="run")
    toy_trainer(tmp_path, AnswerEvaluation(), logger=logger).fit(ToyChat(), ToyData())
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    (event,) = events.Tensors("val/answers/text_summary")
    table = event.tensor_proto.string_val[0].decode()
    lines = table.splitlines()
    assert lines[0] == "| prompt | answer | reference | chrF |"
    assert len(lines) == 2 + len(PROMPTS)
    assert "<b>" not in table
    assert "*입니다" not in table
    # < b > | as character references, the line break as <br>: five bars a line are the table's own.
    assert "&#60;b&#62;&#124;코챗&#124;&#60;&#47;b&#62;<br>&#42;입니다&#42;" in lines[-1]
    assert all(line.count("|") == 5 for line in lines)


def test_every_submodule_gets_its_own_mode_back_after_an_error():
    model = ToyChat().train()
    model.dropout.eval()

    def fail():
        with evaluating(model):
            assert not model.policy.training
            assert not torch.is_grad_enabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert model.policy.training
    assert not model.dropout.training
    assert torch.is_grad_enabled()


def test_without_any_reference_nothing_is_scored():
    rows = rows_of(AnsweredBatch(["c"], ["p"], [None], ["fixed"], ["답"]))
    assert score_rows(rows, legacy=True) == {}
    assert rows[0]["scores"] == {}


def test_what_cannot_work_is_refused_before_training(tmp_path):
    class NoPrompts(ToyData):
        answers_dataloader = None

    with pytest.raises(UserError, match=r"num_validation=-1 is too small; give 0 or more"):
        AnswerEvaluation(num_validation=-1)
    loader = ToyData().train_dataloader()
    with pytest.raises(UserError, match="finds no answers_dataloader"):
        toy_trainer(tmp_path, AnswerEvaluation()).fit(ToyChat(), loader)
    mute = ToyChat()
    mute.stage = Stage(name="mute", package=__name__, answers=False)
    with pytest.raises(UserError, match="ToyChat gives no answers; remove the callback"):
        toy_trainer(tmp_path, AnswerEvaluation()).fit(mute, ToyData())


def fit_and_test(folder, **settings):
    """Leave what was logged and written under ``folder``; any exception is the test's."""
    logger = CSVLogger(folder, name="run", version=0)
    trainer = toy_trainer(folder, AnswerEvaluation(), logger=logger, **settings)
    trainer.fit(ToyChat(), ToyData())
    trainer.test(ToyChat(), ToyData(), verbose=False)


def run_rank(rank, port, folder):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    fit_and_test(folder, devices=2, strategy="ddp")


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    """Five prompts on two ranks: the sampler repeats one, which must not count twice."""
    figures = expected_figures(SCORED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, args=(port, tmp_path / "two"), nprocs=2)
    fit_and_test(tmp_path / "one")
    one, two = (tmp_path / name / "run" / "version_0" for name in ("one", "two"))
    assert read_jsonl(two / "samples.jsonl") == read_jsonl(one / "samples.jsonl")
    for folder in (one, two):
        header, *lines = (folder / "metrics.csv").read_text().splitlines()
        values = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
        for name in ("bleu", "rouge_l", "chrf"):
            for column in (f"val/{name}", f"test/{name}"):
                (value,) = [float(row[column]) for row in values if row.get(column)]
                assert value == pytest.approx(figures[name]), column
