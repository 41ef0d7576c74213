"""A LightningModule that answers from a table and a DataModule of prompts: what the callbacks need, and no language model."""

import lightning as L
import torch
from torch.utils.data import DataLoader

from kochat.data.batches import PromptBatch
from kochat.engine.answering import AnsweredBatch
from kochat.engine.stage import Stage

PROMPTS = [
    {"id": "a", "prompt": "수도는?", "reference": "서울이에요", "kind": "trained", "answer": "서울이에요"},
    {"id": "b", "prompt": "인사해 줘", "reference": "안녕하세요", "kind": "talk", "answer": "안녕"},
    {"id": "c", "prompt": "미세먼지 알려 줘", "reference": None, "kind": "fixed", "answer": "몰라요 ᄏᄏ"},
    {"id": "d", "prompt": "날씨는?", "reference": "비가 와요", "kind": "talk", "answer": "눈이 와요"},
    {
        "id": "e",
        "prompt": "이름이 뭐야?",
        "reference": "코챗이에요",
        "kind": "talk",
        "answer": "<b>|코챗|</b>\n*입니다*",
    },
]
ANSWERS = {row["prompt"]: row["answer"] for row in PROMPTS}


def collate(rows):
    texts = {f"{key}s": [row[key] for row in rows] for key in ("id", "prompt", "reference", "kind")}
    return PromptBatch(torch.zeros(len(rows), 3, dtype=torch.long), torch.full((len(rows),), 3), **texts)


class ToyData(L.LightningDataModule):
    def answers_dataloader(self, split, limit=None):
        assert split in ("validation", "test")
        return DataLoader(PROMPTS[:limit], batch_size=2, collate_fn=collate)

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 1), batch_size=1)

    def val_dataloader(self):
        return DataLoader(torch.ones(2, 1), batch_size=1)

    def test_dataloader(self):
        return self.answers_dataloader("test")


class ToyChat(L.LightningModule):
    """The policy is one weight; `dropout` is a role that is held in evaluation mode while the policy trains."""

    stage = Stage(name="toy", package=__name__)

    def __init__(self, learning_rate=0.1):
        super().__init__()
        self.policy = torch.nn.Linear(1, 1)
        self.dropout = torch.nn.Dropout().eval()
        self.learning_rate = learning_rate
        self.calls = []

    def training_step(self, batch, batch_idx):
        return self.policy(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        pass

    def answered(self, batch):
        self.calls.append((batch.ids, self.policy.training, torch.is_grad_enabled()))
        answers = [ANSWERS[prompt] for prompt in batch.prompts]
        return AnsweredBatch(batch.ids, batch.prompts, batch.references, batch.kinds, answers)

    def test_step(self, batch, batch_idx):
        return self.answered(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)


def toy_trainer(folder, *callbacks, **settings):
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
        "callbacks": list(callbacks),
    }
    return L.Trainer(**(defaults | settings))
