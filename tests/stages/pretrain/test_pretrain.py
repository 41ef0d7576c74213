"""Pretraining: a tokenizer from the corpus, a model that fits it, and a loss that falls."""

import torch

from kochat.data.batches import TextBatch
from kochat.data.row_lengths import RowLengths
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer
from kochat.stages.pretrain.module import PretrainModule
from kochat.stages.pretrain.options import GPT2Size
from tests.conftest import TEXTS, head_outputs
from tests.stages.harness import BatchData, trainer

TINY = GPT2Size(layers=1, hidden=32, heads=2, positions=64)


class CorpusData(BatchData):
    """Blocks of the corpus, encoded by the tokenizer that the module trains on it."""

    def __init__(self, steps: int) -> None:
        super().__init__([])
        self.steps = steps

    def texts(self):
        return iter(TEXTS * 4)

    row_lengths = RowLengths()

    def check_files(self):
        pass

    def connect(self, tokenizer):
        ids = torch.tensor(tokenizer(" ".join(TEXTS))["input_ids"][:64]).view(2, 32)
        self.batches = [TextBatch(ids, torch.full((2,), 32), ["a", "b"], torch.zeros(2).long())] * self.steps
        self.validation = self.batches[:1]


def fitted(tmp_path, steps):
    module, data = PretrainModule(size=TINY, vocab_size=380, learning_rate=1e-2), CorpusData(steps)
    module.connect(data)
    run = trainer(tmp_path)
    run.fit(module, datamodule=data)
    return module, run


def test_loss_starts_at_that_of_a_guess_and_falls(tmp_path):
    module, run = fitted(tmp_path, 1)
    size = len(module.tokenizer)
    assert abs(run.callback_metrics["pretrain/train_loss"] - torch.tensor(float(size)).log()) < 0.3
    _, longer = fitted(tmp_path, 60)
    assert longer.callback_metrics["pretrain/val_loss"] < 1.0


def test_tokenizer_comes_from_the_corpus_and_the_model_has_a_row_for_each_token(tmp_path):
    module, _ = fitted(tmp_path, 1)
    tokenizer = module.tokenizer
    assert tokenizer.decode(tokenizer("파리는 아름다운 도시예요.")["input_ids"]) == "파리는 아름다운 도시예요."
    assert len(tokenizer("날씨가")["input_ids"]) < len("날씨가".encode())  # learnt from the corpus, not bytes
    rows = module.role("policy").host.get_input_embeddings().weight.shape[0]
    assert rows == len(tokenizer) <= 380


def test_export_is_a_base_that_other_stages_load(tmp_path):
    module, _ = fitted(tmp_path, 1)
    module.export(tmp_path / "export")
    tokenizer = load_tokenizer(tmp_path / "export")
    assert tokenizer.get_vocab() == module.tokenizer.get_vocab()
    ids = torch.tensor([[5, 6, 7]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    again = head_outputs(HostPool().load("policy", tmp_path / "export"), ids, mask)
    torch.testing.assert_close(again, head_outputs(module.role("policy"), ids, mask), atol=1e-6, rtol=0)
