"""The DataModules serve what cleaning froze, at every stage and for both versions alike."""

from __future__ import annotations

import copy
import json
import lzma
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from kochat.cleaning.cleaner import clean
from kochat.data.batches import PreferenceBatch, PromptBatch
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard
from kochat.data.splits import bucket
from kochat.errors import UserError
from kochat.stages.ppo.data import PromptDataModule
from kochat.stages.pretrain.data import CorpusDataModule
from kochat.stages.reward_model.data import PreferenceDataModule
from kochat.stages.sft.data import SFTDataModule

PROMPTS = [
    f"{(index * 7919) % 10007}번 방의 {word}는 무엇인가요" for index in range(40) for word in ("색", "크기", "모양")
]


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    extra = [*FIXED_PROMPTS.values(), ""]
    sft = [{"prompt": p, "completion": f"{p[:3]} 답입니다."} for p in [*PROMPTS, *extra]]
    sft.append({"prompt": PROMPTS[0], "completion": "긴 답 " * 150})
    rm = [
        {
            "prompt": p,
            "completion_0": "나쁜 답",
            "completion_1": f"좋은 답 {p}",
            "completion_2": "보통",
            "ranking": [1, 2, 0],
        }
        for p in PROMPTS
    ]
    write(folder / "v1" / "kochatgpt_1_SFT.jsonl", sft)
    write(folder / "v1" / "kochatgpt_2_RM.jsonl", rm)
    write(folder / "v1" / "kochatgpt_3_PPO.jsonl", [{"prompt": p} for p in [*PROMPTS, *extra]])
    write(folder / "v1" / "corpus.jsonl", [{"text": f"{p}라고 물었다.", "source": "글"} for p in PROMPTS])
    clean(folder / "v1", folder / "v2")
    return folder


def connected(module, tokenizer):
    module.connect(tokenizer)
    return module


def ready(module, tokenizer, stage: str = "fit"):
    connected(module, tokenizer).prepare_data()
    module.setup(stage)
    return module


def batches(loader: DataLoader) -> list[dict]:
    return list(loader)


def ids(loader: DataLoader) -> list[str]:
    return [id_ for batch in loader for id_ in batch.ids]


def decoded_prompts(tokenizer, loaders: DataLoader | list[DataLoader]) -> list[str]:
    found = []
    for batch in chain.from_iterable(loaders if isinstance(loaders, list) else [loaders]):
        left_padded = isinstance(batch, PromptBatch)
        starts = (batch.lengths if left_padded else batch.prompt_lengths).tolist()
        width = batch.input_ids.shape[1]
        for row, prompt_length in zip(batch.input_ids, starts, strict=True):
            prompt = row[width - prompt_length :] if left_padded else row[:prompt_length]
            text = tokenizer.decode(prompt).strip()
            found.append(text.split(":\n", 1)[1].rsplit("\n\n###", 1)[0])
    return found


def test_another_tokenizer_encodes_the_rows_anew(data_dir: Path, tokenizer) -> None:
    module = ready(SFTDataModule(data_dir=data_dir), tokenizer)
    first = next(iter(module.val_dataloader())).input_ids
    longer = copy.deepcopy(tokenizer)
    longer.add_tokens(["답입니다"])
    ready(module, tokenizer)
    assert torch.equal(next(iter(module.val_dataloader())).input_ids, first)
    ready(module, longer)
    assert not torch.equal(next(iter(module.val_dataloader())).input_ids, first)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_reward_models_validation_brings_held_out_demonstrations(data_dir: Path, tokenizer, version: str) -> None:
    """Prompt, completion and EOS, encoded as in SFT, and the same rows as SFT's own validation."""
    reward = ready(PreferenceDataModule(data_dir=data_dir, version=version), tokenizer)
    records, demonstrations = reward.val_dataloader()
    assert isinstance(next(iter(records)), PreferenceBatch)
    sft = ready(SFTDataModule(data_dir=data_dir, version=version), tokenizer)
    rows = {}
    for loader in (demonstrations, sft.val_dataloader()):
        found = set()
        for batch in loader:
            for row, length in zip(batch.input_ids.tolist(), batch.lengths.tolist(), strict=True):
                found.add(tuple(row[:length]))
        rows[loader is demonstrations] = found
    assert rows[True]
    assert rows[True] <= rows[False]  # one row a prompt
    assert all(row[-1] == tokenizer.eos_token_id for row in rows[True])


def test_without_demonstrations_the_reward_models_validation_has_its_records_alone(
    data_dir, tokenizer, tmp_path
) -> None:
    shutil.copytree(data_dir, tmp_path / "data")
    (tmp_path / "data" / "v2" / "kochatgpt_1_SFT.jsonl").unlink()
    reward = ready(PreferenceDataModule(data_dir=tmp_path / "data"), tokenizer)
    assert len(reward.val_dataloader()) == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", [SFTDataModule, PreferenceDataModule, PromptDataModule])
def test_no_stage_and_no_version_trains_on_what_is_tested(data_dir: Path, tokenizer, kind, version: str) -> None:
    module = ready(kind(data_dir=data_dir, version=version), tokenizer)
    test = [json.loads(line)["prompt"] for line in (data_dir / "v2" / "test.jsonl").read_text().splitlines()]
    guard = Guard([*test, *FIXED_PROMPTS.values()])
    train = decoded_prompts(tokenizer, module.train_dataloader())
    validation = decoded_prompts(tokenizer, module.val_dataloader())
    assert len(train) > 60
    assert [p for p in train + validation if guard.reason(p)] == []
    assert {bucket(p) for p in train} == {"train"}
    assert {bucket(p) for p in validation} == {"validation"}


def test_sft_batch_is_prompt_completion_eos(data_dir: Path, tokenizer) -> None:
    module = ready(SFTDataModule(data_dir=data_dir, batch_size=4), tokenizer)
    batch = next(iter(module.train_dataloader()))
    row, start, end = batch.input_ids[0], batch.prompt_lengths[0], batch.lengths[0]
    assert tokenizer.decode(row[:start]).endswith("### Response(응답):")
    assert tokenizer.decode(row[start : end - 1]).strip().endswith("답입니다.")
    assert row[end - 1] == tokenizer.eos_token_id
    assert (row[end:] == tokenizer.pad_token_id).all()


def test_long_completions_are_cut_to_max_length_with_eos(data_dir: Path, tokenizer) -> None:
    module = ready(SFTDataModule(data_dir=data_dir, version="v1", max_length=140, max_prompt_length=120), tokenizer)
    longest = max(batches(module.train_dataloader()), key=lambda batch: int(batch.lengths.max()))
    row = int(longest.lengths.argmax())
    assert longest.lengths[row] == 140
    assert longest.input_ids[row, 139] == tokenizer.eos_token_id


def test_preference_test_records_are_the_same_for_both_versions(data_dir: Path, tokenizer) -> None:
    held = [json.loads(x)["prompt"] for x in (data_dir / "v2" / "test_preferences.jsonl").read_text().splitlines()]
    for version in ("v1", "v2"):
        module = ready(PreferenceDataModule(data_dir=data_dir, version=version), tokenizer)
        tested = [prompt for batch in module.test_dataloader() for prompt in batch.prompts]
        assert sorted(tested) == sorted(held)
        assert {bucket(prompt) for prompt in tested} == {"test"}
    batch = next(iter(module.test_dataloader()))
    assert batch.completions[0] == [f"좋은 답 {batch.prompts[0]}", "보통", "나쁜 답"]


def test_answers(data_dir: Path, tokenizer) -> None:
    module = connected(PromptDataModule(data_dir=data_dir), tokenizer)
    test = batches(module.answers_dataloader("test", 2))
    kinds = [kind for batch in test for kind in batch.kinds]
    assert sorted(kinds) == ["fixed"] * len(FIXED_PROMPTS) + ["held_out"] * 2
    fixed = {i: r for batch in test for i, r in zip(batch.ids, batch.references, strict=True) if r is None}
    assert set(fixed) == set(FIXED_PROMPTS)
    few, more = (set(ids(module.answers_dataloader("validation", limit))) for limit in (1, 3))
    assert len(few) == 1
    assert few < more
    other = connected(SFTDataModule(data_dir=data_dir), tokenizer)
    assert set(ids(other.answers_dataloader("validation", 3))) == more
    raw = connected(SFTDataModule(data_dir=data_dir, version="v1"), tokenizer)
    assert decoded_prompts(tokenizer, raw.answers_dataloader("validation", 3)) == decoded_prompts(
        tokenizer, other.answers_dataloader("validation", 3)
    )
    with pytest.raises(ValueError, match="knows validation and test"):
        module.answers_dataloader("train")


def test_prompts_end_together(data_dir: Path, tokenizer) -> None:
    module = ready(PromptDataModule(data_dir=data_dir), tokenizer)
    for batch in module.train_dataloader():
        assert len({tuple(row[-5:].tolist()) for row in batch.input_ids}) == 1
        assert batch.references == [None] * len(batch.ids)


def test_a_rollouts_prompts_are_of_all_lengths_and_validation_has_a_limit(data_dir: Path, tokenizer) -> None:
    """A rollout has long and short prompts; at most 200 validation prompts unless more are asked for, chosen by hash."""
    module = ready(PromptDataModule(data_dir=data_dir, batch_size=24), tokenizer)
    assert (module.options.limit_validation, SFTDataModule().options.limit_validation) == (200, None)
    means = [float(batch.lengths.float().mean()) for batch in module.train_dataloader() if len(batch.ids) == 24]
    sft = ready(SFTDataModule(data_dir=data_dir, batch_size=24), tokenizer)
    bucketed = [float(batch.prompt_lengths.float().mean()) for batch in sft.train_dataloader() if len(batch.ids) == 24]
    assert max(means) - min(means) < 0.5 * (max(bucketed) - min(bucketed))
    few, all_ = ids(module.validation_prompts(2)), ids(module.validation_prompts(10**6))
    assert sorted(few) == sorted(all_)[:2]
    assert sorted(all_) == sorted(ids(module.val_dataloader()))


def test_corpus_blocks_are_the_documents_joined_by_eos(data_dir: Path, tokenizer) -> None:
    module = ready(CorpusDataModule(data_dir=data_dir, block_size=32, validation_share=0.2), tokenizer)
    table = module._tables["train"]
    stream = [token for row in table["input_ids"] for token in row]
    documents = list(module.texts())
    expected = [
        t for d in documents for t in [*tokenizer(d, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ]
    assert stream == expected[: len(stream)]
    assert len(expected) - len(stream) <= 1
    assert set(table["length"][:-1]) == {32}
    held_out = list(module.texts("validation"))
    assert 10 < len(held_out) < 40
    assert len(documents) + len(held_out) == 120
    assert sorted(ids(module.val_dataloader())) == sorted(module._tables["validation"]["id"])


def test_corpus_by_path_and_limit(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.xz"
    path.write_bytes(lzma.compress((data_dir / "v1" / "corpus.jsonl").read_bytes()))
    module = connected(
        CorpusDataModule(data_dir=tmp_path / "d", path=path, limit_characters=1200, block_size=16), tokenizer
    )
    assert module.required_files() == [path]
    ready(module, tokenizer)
    kept = sum(len(text) for split in ("train", "validation") for text in module.texts(split))
    assert 700 < kept < 1800
    assert {kind for batch in module.test_dataloader() for kind in batch.kinds} == {"fixed"}


def test_limits_are_stable_subsets(data_dir: Path, tokenizer) -> None:
    few, more = (
        set(ids(ready(SFTDataModule(data_dir=data_dir, limit_train=limit), tokenizer).train_dataloader()))
        for limit in (5, 20)
    )
    assert (len(few), len(more)) == (5, 20)
    assert few < more


def test_missing_and_changed_files_are_errors(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    module = connected(PreferenceDataModule(data_dir=tmp_path / "none"), tokenizer)
    assert [path.name for path in module.required_files()] == ["kochatgpt_2_RM.jsonl", "test.jsonl"]
    messages = module.missing_inputs()
    assert len(messages) == 2
    assert all("python -m kochat clean" in message for message in messages)
    with pytest.raises(UserError, match=r"kochat clean .*v1 --out .*v2"):
        module.prepare_data()
    clean(data_dir / "v1", tmp_path / "v2")
    with (tmp_path / "v2" / "kochatgpt_1_SFT.jsonl").open("a") as stream:
        stream.write('{"prompt": "새 질문", "completion": "새 답"}\n')
    with pytest.raises(UserError, match="not the file that clean wrote"):
        connected(SFTDataModule(data_dir=tmp_path), tokenizer).prepare_data()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"limit_train": 0}, "limit_train=0"),
        ({"max_length": 64, "max_prompt_length": 63}, "leaves no room"),
    ],
)
def test_impossible_settings(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SFTDataModule(**arguments)


def test_no_tokenizer_is_said() -> None:
    with pytest.raises(UserError, match="has no tokenizer"):
        _ = SFTDataModule().tokenizer


def test_cache_is_used_and_keyed(data_dir: Path, tokenizer, monkeypatch) -> None:
    module = ready(SFTDataModule(data_dir=data_dir), tokenizer)
    path = module.cache_file()
    assert path.parent == data_dir / ".cache"
    again = connected(SFTDataModule(data_dir=data_dir), tokenizer)
    monkeypatch.setattr(again, "encoded_rows", lambda: pytest.fail("tokenised again"))
    again.prepare_data()
    assert connected(SFTDataModule(data_dir=data_dir, max_length=300), tokenizer).cache_file() != path
    assert connected(SFTDataModule(data_dir=data_dir, version="v1"), tokenizer).cache_file() != path
    assert [p for p in path.parent.iterdir() if p.suffix != ".arrow"] == []


class Probe(L.LightningModule):
    """Record which rows each rank sees; learn nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[str]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch, batch_idx):
        self.seen["train"] += batch.ids
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.seen["val"] += batch.ids

    def test_step(self, batch, batch_idx):
        self.seen["test"] += batch.ids

    def predict_step(self, batch, batch_idx):
        return batch.ids

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], 0.0)


def trainer(folder: Path, **options) -> L.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(
        accelerator="cpu", max_epochs=2, default_root_dir=folder, num_sanity_val_steps=0, **quiet, **options
    )


def test_under_a_trainer(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    probe, module = Probe(), connected(SFTDataModule(data_dir=data_dir, batch_size=4), tokenizer)
    fit = trainer(tmp_path, devices=1)
    fit.fit(probe, datamodule=module)
    half = len(probe.seen["train"]) // 2
    assert sorted(probe.seen["train"][:half]) == sorted(probe.seen["train"][half:])
    assert probe.seen["train"][:half] != probe.seen["train"][half:]
    fit.test(probe, datamodule=module, verbose=False)
    assert set(FIXED_PROMPTS) < set(probe.seen["test"])
    answered = fit.predict(probe, datamodule=module)
    assert sorted(id_ for batch in answered for id_ in batch) == sorted(probe.seen["test"])


def ddp_main(data_dir: str, out: str) -> None:
    from kochat.nn.tokenizers import train_tokenizer
    from tests.conftest import TEXTS

    probe, tokenizer = Probe(), train_tokenizer(TEXTS * 4, vocab_size=400)
    fit = trainer(Path(out), devices=2, strategy="ddp")
    fit.fit(probe, datamodule=connected(SFTDataModule(data_dir=data_dir, batch_size=4), tokenizer))
    Path(out, f"rank{fit.global_rank}.json").write_text(json.dumps(probe.seen))


@pytest.mark.slow
def test_two_ranks_share_the_rows(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    ready(SFTDataModule(data_dir=data_dir, batch_size=4), tokenizer)
    script = tmp_path / "main.py"
    script.write_text(
        "import sys\nfrom tests.data.test_datamodules import ddp_main\nif __name__ == '__main__':\n    ddp_main(*sys.argv[1:])\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(data_dir), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=root, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = [json.loads((tmp_path / f"rank{rank}.json").read_text())["train"] for rank in range(2)]
    alone = ids(ready(SFTDataModule(data_dir=data_dir, batch_size=4), tokenizer).train_dataloader())
    assert set(seen[0]) | set(seen[1]) == set(alone)
    assert abs(len(seen[0]) + len(seen[1]) - 2 * len(alone)) <= 2 * 4
