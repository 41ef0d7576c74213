"""The reward model: the ranking loss by hand, the score at the last real token, held-out figures over rows."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from kochat.data.batches import PreferenceBatch, TextBatch
from kochat.data.collators import LabelledPairCollator, PreferenceCollator
from kochat.nn.adapters import LoraSettings
from kochat.nn.role_loading import HostPool
from kochat.nn.rows import PaddedRows, last_scores
from kochat.rewards.centring import Centring
from kochat.stages.reward_model.data import LABELLED_PAIRS
from kochat.stages.reward_model.module import RewardModule
from tests.stages.harness import BatchData, preference_batch, text_batch, trainer

ROWS = [
    ("안녕하세요", ["반갑습니다! 무엇을 도와드릴까요?", "네.", "hello hello"]),
    ("프랑스의 수도는 어디인가요?", ["파리입니다.", "잘 모르겠어요.", "서울이에요!"]),
]


def module(base, rank=8, **options):
    rm = RewardModule(base=str(base), lora=LoraSettings(rank), **options)
    rm.configure_model()
    return rm


def attached(tmp_path, base, **options):
    rm = module(base, **options)
    rm.trainer = trainer(tmp_path)
    rm.trainer.strategy.connect(rm)
    rm.log = lambda *args, **kwargs: None
    return rm


def record(name: str) -> PreferenceBatch:
    """Return a batch of one record, of which only the name and the order matter."""
    ids = torch.zeros(3, 1, dtype=torch.long)
    order = {"pairs": torch.tensor([[0, 1], [0, 2], [1, 2]]), "grades": torch.arange(3), "row": torch.zeros(3).long()}
    return PreferenceBatch(
        ids, torch.ones(3), [name], torch.zeros(3), **order, prompts=["?"], completions=[["a", "b", "c"]]
    )


def demonstrations(*names: str) -> TextBatch:
    """Return a batch of demonstrations, of which only the names matter."""
    zeros = torch.zeros(len(names), 1, dtype=torch.long)
    return TextBatch(zeros, torch.ones(len(names)), list(names), zeros[:, 0])


class FixedScores(RewardModule):
    """Score the completions of batch i by the i-th of `given`, whatever they say."""

    given: tuple = ()

    def scores(self, batch):
        return torch.tensor(self.given[int(batch.ids[0])])


def fixed(tmp_path, base, given, **options):
    """Validate on one batch a list of scores, each record named after its batch; return (module, logged figures)."""
    rm = FixedScores(base=str(base), lora=LoraSettings(2), **options)
    rm.given = given
    run = trainer(tmp_path)
    run.validate(rm, DataLoader([record(str(index)) for index in range(len(given))], batch_size=None), verbose=False)
    return rm, {name: value.item() for name, value in run.callback_metrics.items()}


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def test_loss_is_minus_log_sigmoid_of_the_three_pairs(tmp_path, base, tokenizer):
    rm = attached(tmp_path, base)
    batch = preference_batch(tokenizer, ROWS)
    best, middle, worst = rm.scores(batch).view(2, 3).T.tolist()
    pairs = [*zip(best, middle, strict=True), *zip(best, worst, strict=True), *zip(middle, worst, strict=True)]
    expected = -sum(log_sigmoid(chosen - rejected) for chosen, rejected in pairs) / 6
    assert rm.training_step(batch, 0).item() == pytest.approx(expected, abs=1e-5)


def test_score_stands_at_the_last_real_token(base, tokenizer):
    """Each row alone, without padding, scores the same; and a change of EOS, the last token, changes it."""
    rm = module(base)
    batch = preference_batch(tokenizer, ROWS)
    scores = rm.scores(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = replace(batch, input_ids=batch.input_ids[row : row + 1, :length], lengths=batch.lengths[row : row + 1])
        torch.testing.assert_close(rm.scores(alone)[0], scores[row], atol=1e-5, rtol=0)
    ids = batch.input_ids.clone()
    ids[0, batch.lengths[0] - 1] = 5
    changed = rm.scores(replace(batch, input_ids=ids))
    assert abs(changed[0] - scores[0]) > 1e-3
    torch.testing.assert_close(changed[1:], scores[1:], atol=1e-5, rtol=0)


GIVEN = ((3.0, 1.0, 0.0), (1.0, 2.0, 1.0))  # all three pairs right; one wrong, a tie, one right


def test_validation_by_hand(tmp_path, base):
    rm, figures = fixed(tmp_path, base, GIVEN)
    loss = -sum(map(log_sigmoid, [2.0, 3.0, 1.0, -1.0, 0.0, 1.0])) / 6
    expected = {"val_loss": loss, "accuracy": 4.5 / 6, "margin": 1.5}
    expected |= {"score_best": 2.0, "score_middle": 1.5, "score_worst": 0.5}
    expected |= {"reward_mean": 2.0, "reward_std": math.sqrt(16 / 6 - (8 / 6) ** 2)}
    assert figures == pytest.approx({f"rm/{name}": value for name, value in expected.items()})
    assert rm.centring.mean == pytest.approx(2.0)  # of the best: 3 and 1
    assert rm.centring.std == pytest.approx(math.sqrt(16 / 6 - (8 / 6) ** 2))  # of all six


def test_zero_is_the_mean_score_of_the_demonstrations(tmp_path, base):
    """Where the data has held-out demonstrations they, and not the best answers, fix the reward's level."""
    rm = FixedScores(base=str(base), lora=LoraSettings(2))
    rm.given = (GIVEN[0], GIVEN[1], (5.0, 7.0), (9.0,))
    held_out = [record(str(index)) for index in range(2)]
    texts = [
        demonstrations("2", "2b"),
        demonstrations("3"),
        demonstrations("2", "2b"),
    ]  # a sampler that pads with repeats
    loaders = [DataLoader(rows, batch_size=None) for rows in (held_out, texts)]
    run = trainer(tmp_path)
    run.validate(rm, loaders, verbose=False)
    assert rm.centring.mean == run.callback_metrics["rm/reward_mean"] == 7.0
    assert rm.centring.std == pytest.approx(math.sqrt(16 / 6 - (8 / 6) ** 2))
    assert run.callback_metrics["rm/accuracy"] == 4.5 / 6


def test_rows_of_uneven_batches_count_alike(tmp_path, base, tokenizer):
    """Three records in batches of two and one: the figure is that of rows, not the mean of batch means."""
    rm = attached(tmp_path, base)
    third = [("오늘 날씨가 참 좋네요", ["네, 좋네요.", "그래요.", "으아"])]
    first, second = preference_batch(tokenizer, ROWS), replace(preference_batch(tokenizer, third), ids=["third"])
    rm.validation_step(first, 0)
    rm.validation_step(second, 1)
    best = torch.cat([rm.scores(first), rm.scores(second)]).view(3, 3)[:, 0]
    torch.testing.assert_close(rm.held_out.compute()["score_best"], best.mean())
    rm.validation_step(first, 2)  # a sampler that pads with repeats
    torch.testing.assert_close(rm.held_out.compute()["score_best"], best.mean())


def test_each_validation_counts_its_own_scores(tmp_path, base):
    rm, _ = fixed(tmp_path, base, ((3.0, 1.0, 0.0),))
    rm.given = ((0.0, 1.0, 3.0),)  # the same record, scored otherwise after more training
    run = trainer(tmp_path)
    run.validate(rm, DataLoader([record("0")], batch_size=None), verbose=False)
    assert run.callback_metrics["rm/accuracy"] == 0
    assert rm.centring.mean == 0


def test_a_constant_shift_changes_neither_loss_nor_accuracy(tmp_path, base):
    _, plain = fixed(tmp_path, base, GIVEN)
    rm, shifted = fixed(tmp_path, base, tuple(tuple(score + 8 for score in row) for row in GIVEN))
    for name in ("rm/val_loss", "rm/accuracy", "rm/margin"):
        assert shifted[name] == pytest.approx(plain[name]), name
    assert rm.centring.mean == pytest.approx(10.0)


def test_swapping_best_and_worst_negates_the_margin(tmp_path, base):
    _, plain = fixed(tmp_path, base, GIVEN)
    _, swapped = fixed(tmp_path, base, tuple(row[::-1] for row in GIVEN))
    assert swapped["rm/margin"] == -plain["rm/margin"]
    assert swapped["rm/accuracy"] == pytest.approx(1 - plain["rm/accuracy"])


def test_margin_asks_for_a_lead(tmp_path, base):
    _, figures = fixed(tmp_path, base, ((2.0, 1.0, 0.0),), margin=0.5)
    expected = -sum(map(log_sigmoid, [0.5, 1.5, 0.5])) / 3
    assert figures["rm/val_loss"] == pytest.approx(expected)


def test_the_head_is_trained_beside_the_adapter(base):
    rm = module(base)
    trained = {name for name, p in rm.named_parameters() if p.requires_grad}
    assert "reward_model_head.weight" in trained
    assert all(".lora_A." in name or ".lora_B." in name for name in trained - {"reward_model_head.weight"})


def test_it_learns_to_rank(tmp_path, base, tokenizer):
    """Longer politeness is better: records it has not seen are ranked too."""
    starts = ["파리", "날씨", "도시", "오늘", "수도", "질문", "응답", "명령"]
    rows = [(start, [f"{start} 좋네요!!!", f"{start} 좋네요.", f"{start} ###"]) for start in starts]
    torch.manual_seed(0)  # the head's first weights
    rm = module(base, learning_rate=1e-2)
    data = BatchData([preference_batch(tokenizer, rows[:6])] * 40, [preference_batch(tokenizer, rows[6:])])
    run = trainer(tmp_path)
    run.fit(rm, datamodule=data)
    assert run.callback_metrics["rm/train_loss"] < 0.1
    assert run.callback_metrics["rm/accuracy"] >= 5 / 6
    assert run.callback_metrics["rm/margin"] > 1


def test_an_answer_to_another_prompt_counts_in_no_other_figure(tmp_path, base):
    """Loss, accuracy and the statistics for centring are those of the three completions alone."""
    _, plain = fixed(tmp_path, base, GIVEN)
    rm = FixedScores(base=str(base), lora=LoraSettings(2))
    rm.given = tuple((*row, 50.0) for row in GIVEN)
    batches = []
    for index in range(2):
        row = {"id": str(index), "prompt": "?", "prompt_ids": [1], "completions": ["a", "b", "c"]}
        row |= {"completion_ids": [[2], [3], [4]], "other": "d", "other_ids": [5]}
        batches.append(PreferenceCollator(0)([row]))
    run = trainer(tmp_path)
    run.validate(rm, DataLoader(batches, batch_size=None), verbose=False)
    assert {name: value.item() for name, value in run.callback_metrics.items()} == pytest.approx(plain)
    scored = rm.test_step(batches[0], 0)
    assert (scored.others, scored.other_scores.tolist()) == (["d"], [50.0])


def encoded(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_pairs_and_answers_to_other_prompts_are_scored_after_the_prompt(tmp_path, base, tokenizer):
    """As rows of their own, without padding and without the records' other answers."""
    rm = attached(tmp_path, base)
    (prompt, (best, *_)), (_, (other, *_)) = ROWS
    alone = rm.scores(text_batch(tokenizer, [(prompt, best), (prompt, other)]))
    ids = {
        name: [*encoded(tokenizer, text), tokenizer.eos_token_id] for name, text in (("best", best), ("other", other))
    }
    pair = {"id": "p", "prompt": prompt, "prompt_ids": encoded(tokenizer, prompt), "kind": "other_prompt"}
    pair |= {"better": best, "worse": other, "better_ids": ids["best"], "worse_ids": ids["other"]}
    result = rm.test_step(LabelledPairCollator(tokenizer.pad_token_id)([pair]), 0, LABELLED_PAIRS)
    torch.testing.assert_close(result.scores[0], alone, atol=1e-5, rtol=0)
    assert (result.answers, result.kinds) == ([(best, other)], ["other_prompt"])
    row = pair | {"completions": [best, best, best], "completion_ids": [ids["best"]] * 3}
    record = rm.test_step(
        PreferenceCollator(tokenizer.pad_token_id)([row | {"other": other, "other_ids": ids["other"]}]), 0
    )
    torch.testing.assert_close(record.other_scores, alone[1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("rank", [0, 8])
def test_export_gives_the_same_scores_and_carries_what_centres_them(tmp_path, base, tokenizer, rank):
    rm = module(base, rank=rank)
    rm.trainer = trainer(tmp_path)
    rm.centring = Centring(0.25, 2.0)
    rm.export(tmp_path / "export")
    info = json.loads((tmp_path / "export" / "kochat.json").read_text())
    assert (info["reward_mean"], info["reward_std"]) == (0.25, 2.0)
    batch = preference_batch(tokenizer, ROWS)
    again = last_scores(
        HostPool().load("reward_model", tmp_path / "export", value=True), PaddedRows(batch.input_ids, batch.mask)
    )
    torch.testing.assert_close(again, rm.scores(batch), atol=1e-5, rtol=0)


def test_test_step_orders_from_best_to_worst(tmp_path, base, tokenizer):
    """Also where the rows of a batch stand in another order."""
    rm = attached(tmp_path, base)
    batch = preference_batch(tokenizer, ROWS)
    scores = rm.scores(batch).view(2, 3)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    shuffled = replace(batch, **{key: getattr(batch, key)[order] for key in ("input_ids", "lengths", "grades", "row")})
    result = rm.test_step(shuffled, 0)
    torch.testing.assert_close(result.scores, scores, atol=1e-5, rtol=0)
    assert result.completions == [completions for _, completions in ROWS]
    assert result.ids == ["0", "1"]
