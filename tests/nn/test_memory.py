"""The memory table counts every parameter once, by hand on the two-layer test base."""

import pytest
import torch

from kochat.nn.memory import holdings, memory_table, separate_bytes
from kochat.nn.role_loading import HostPool
from kochat.stages.ppo.models import train_only
from tests.stages.harness import write_stage

LORA8 = 2 * 8 * ((32 + 96) + (32 + 32) + (128 + 32) + (32 + 128))
LORA16 = 2 * LORA8


def load(tmp_path, base, tokenizer, policy_rank, reward_rank):
    sft = write_stage(tmp_path / "sft", base, tokenizer, policy_rank)
    rm = write_stage(tmp_path / "rm", base, tokenizer, reward_rank, value=True)
    pool = HostPool()
    roles = [pool.load(name, sft) for name in ("policy", "reference")]
    roles += [pool.load(name, rm, value=True) for name in ("reward_model", "critic")]
    everything = torch.nn.ModuleList([*(role.host for role in roles), roles[2].head, roles[3].head])
    train_only(everything, [roles[0], roles[3]], roles[1:3])
    return roles


@pytest.fixture
def base_size(base):
    from kochat.nn.backbones import load_base

    return sum(parameter.numel() for parameter in load_base(base, "lm").parameters())


def test_adapters_share_one_base(tmp_path, base, tokenizer, base_size):
    roles = load(tmp_path, base, tokenizer, 8, 16)
    rows = {row.name.split()[0]: row for row in holdings(roles)}
    assert {name: row.parameters for name, row in rows.items()} == {
        "policy": LORA8,
        "reference": LORA8,
        "reward_model": LORA16 + 32,
        "critic": LORA16 + 32,
        "base": base_size,
    }
    assert rows["base"].kind == "shared by policy, reference, reward_model, critic"
    assert {name for name, row in rows.items() if row.trainable} == {"policy", "critic"}
    assert rows["policy"].training_bytes == 12 * LORA8  # a gradient and two moments, 4 bytes each
    assert separate_bytes(roles) == 4 * (4 * base_size + 2 * LORA8 + 2 * (LORA16 + 32))


def test_whole_models_share_nothing(tmp_path, base, tokenizer, base_size):
    roles = load(tmp_path, base, tokenizer, 0, 0)
    rows = holdings(roles)
    assert [row.kind for row in rows] == ["whole model", "whole model", "whole model + head", "whole model + head"]
    assert sum(row.weight_bytes for row in rows) == separate_bytes(roles)
    assert rows[0].parameters == base_size


def test_the_table_has_a_line_a_role_and_one_for_all(tmp_path, base, tokenizer):
    lines = memory_table(load(tmp_path, base, tokenizer, 8, 16)).splitlines()
    assert [line.split("|")[1].split()[0] for line in lines[2:]] == [
        "policy",
        "reference",
        "reward_model",
        "critic",
        "base",
        "all",
    ]
