"""docs/metrics.md defines every metric that scripts may rely on."""

import re
from pathlib import Path

import pytest

from kochat.metrics.reward_reliability import SCALARS
from kochat.metrics.text_overlap import text_metrics
from kochat.stages.reward_model.reward_evaluation import OWN_PROMPT

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
CONTRACT = [
    "sft/train_loss",
    "sft/val_loss",
    "rm/train_loss",
    "rm/val_loss",
    "rm/accuracy",
    "rm/margin",
    "rm/score_best",
    "rm/score_middle",
    "rm/score_worst",
    "ppo/reward",
    "ppo/kl",
    "ppo/policy_loss",
    "ppo/value_loss",
    "ppo/entropy",
    "ppo/clip_fraction",
    "ppo/response_length",
    "ppo/val_reward",
    "ppo/val_kl",
    *(f"best_of_n/{name}_{k}" for name in ("reward", "kl") for k in (1, 2, 4, 8, 16)),
    "best_of_n/reward_unit",
    "best_of_n/reward_zero",
]


@pytest.mark.skipif(not DOCS.exists(), reason="the docs folder is not part of this distribution")
def test_every_metric_is_defined():
    defined = set(re.findall(r"`(\w+/\w+)`", DOCS.read_text(encoding="utf-8")))
    scored = [f"test/{name}" for name in text_metrics()] + [f"val/{name}" for name in text_metrics(legacy=False)]
    judged = [f"rm/{name}" for name in (*SCALARS, OWN_PROMPT)]
    means = ("accuracy", "margin", "score_best", "score_middle", "score_worst")
    tested = [f"rm/test_{name}" for name in (*SCALARS, *means, OWN_PROMPT)]
    assert sorted({*CONTRACT, *scored, *judged, *tested} - defined) == []
