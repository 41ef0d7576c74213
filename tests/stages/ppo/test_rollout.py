"""Rollouts: the ids that were drawn go to every role as they are, and reward models read every answer at EOS."""

from dataclasses import replace

import pytest
import torch

from kochat.nn.decoding import GenerationSettings
from kochat.nn.role_loading import HostPool
from kochat.rewards.answer_scores import ended
from kochat.rewards.centring import Centring
from kochat.rewards.reward_models import RewardModel
from kochat.stages.ppo.models import PPORoles
from kochat.stages.ppo.rollout import roll_out
from tests.stages.harness import prompt_batch, write_stage

EOS, STOP, PAD = 0, 9, 2


def test_every_answer_is_scored_at_its_eos():
    """A cut answer gets EOS behind it, another stop token gives way to EOS, EOS stays; pads are no tokens."""
    sequences = torch.tensor([[PAD, 5, 6, 7], [4, 5, STOP, PAD], [4, 5, EOS, PAD]])
    mask = torch.tensor([[False, True, True, True], [True, True, True, False], [True, True, True, False]])
    ids, kept = ended(sequences, mask, torch.tensor([False, True, True]), EOS)
    assert [row[keep].tolist() for row, keep in zip(ids, kept, strict=True)] == [
        [5, 6, 7, EOS],
        [4, 5, EOS],
        [4, 5, EOS],
    ]


class Recorder:
    """A reward model that keeps what it is asked to score."""

    def __init__(self, score):
        self.score, self.rows = score, []

    def hidden(self, sequences, mask):
        self.rows = [row[keep].tolist() for row, keep in zip(sequences, mask, strict=True)]
        return torch.zeros(*sequences.shape, 1)

    def project(self, hidden):
        return torch.full((len(hidden),), self.score)


@pytest.fixture(scope="module")
def roles(tmp_path_factory, base, tokenizer):
    folder = tmp_path_factory.mktemp("roles")
    sft, rm = (write_stage(folder / str(value), base, tokenizer, 4, value) for value in (False, True))
    pool = HostPool()
    policy, reference, critic = (
        pool.load("policy", sft),
        pool.load("reference", sft),
        pool.load("critic", rm, value=True),
    )
    return PPORoles(policy, reference, critic, ())


def drawn(roles, tokenizer, *judges, stop_ids=(EOS,)):
    batch = prompt_batch(tokenizer)
    settings, generator = GenerationSettings(6, 1.0, stop_ids, PAD), torch.Generator().manual_seed(0)
    return batch, roll_out(replace(roles, reward_models=judges), batch, settings, generator, unpad=False)


def test_sampled_ids_are_never_decoded_and_encoded_again(roles, tokenizer):
    """Also where they spell half a syllable: decoding and encoding gives other ids for most random draws."""
    judge = Recorder(1.0)
    batch, rollout = drawn(roles, tokenizer, RewardModel(judge, Centring()))
    encoded_again = 0
    for row, (length, keep) in enumerate(zip(batch.lengths.tolist(), rollout.mask, strict=True)):
        answer = rollout.sequences[row, -rollout.mask.shape[1] :][keep].tolist()
        prompt = batch.input_ids[row, -length:].tolist()
        assert judge.rows[row] == prompt + answer + ([] if rollout.stopped[row] else [EOS])
        encoded_again += tokenizer(tokenizer.decode(answer), add_special_tokens=False)["input_ids"] != answer
    assert encoded_again > 0


def test_an_ensembles_score_is_the_mean_of_centred_scores_and_its_disagreement_their_spread(roles, tokenizer):
    judges = [RewardModel(Recorder(3.0), Centring(1.0, 2.0)), RewardModel(Recorder(5.0), Centring(2.0, 1.0))]  # 1 and 3
    _, rollout = drawn(roles, tokenizer, *judges)
    assert rollout.raw_scores.tolist() == [3.0] * 4
    assert rollout.scores.tolist() == [2.0] * 4
    assert rollout.disagreement.tolist() == [1.0] * 4
    _, alone = drawn(roles, tokenizer, judges[0])
    assert alone.scores.tolist() == [1.0] * 4
    assert alone.disagreement.tolist() == [0.0] * 4


def test_a_stop_token_ends_the_mask_inclusively(roles, tokenizer):
    """Take a token that was drawn as a second stop token: the same draw ends there."""
    _, free = drawn(roles, tokenizer, RewardModel(Recorder(0.0), Centring()), stop_ids=(EOS,))
    responses = free.sequences[:, -free.mask.shape[1] :]
    stop = int(responses[0, 1])
    _, held = drawn(roles, tokenizer, RewardModel(Recorder(0.0), Centring()), stop_ids=(EOS, stop))
    length = responses[0].tolist().index(stop) + 1
    assert held.mask[0].sum() == length
    assert held.sequences[0, -held.mask.shape[1] :][length - 1] == stop
    assert held.stopped[0]
