"""Labelled pairs: what a file must hold, how cleaning carries it, and how the DataModule serves it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.raw_folder import copy_raw
from kochat.data.batches import OTHER
from kochat.data.files import PREFERENCE_FILE, SFT_FILE, TEST_FILE, TEST_PAIRS_FILE
from kochat.data.guard import Guard
from kochat.data.heldout import TrainingFilter
from kochat.data.labelled_pairs import pairs_of_each_kind, read_pairs
from kochat.data.splits import bucket
from kochat.errors import UserError
from kochat.stages.reward_model.data import LABELLED_PAIRS, RECORDS, PreferenceDataModule
from tests.data.raw_data import NOUNS, read, sound_rows, write

PAIR = {"id": "p0", "prompt": "프랑스의 수도는?", "better": "파리예요.", "worse": "런던이에요.", "kind": "wrong"}
PAIRS = [
    PAIR,
    # two spaces and a quote, which cleaning would edit in a training row
    PAIR | {"id": "p1", "kind": "noise", "worse": '"ㅁㄴㅇ  ㄹ'},
    PAIR | {"id": "p2", "kind": "나만의-종류", "prompt": "이름이 뭐야"},
]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({key: PAIR[key] for key in PAIR if key != "worse"}, r'line 2: has no "worse"; add it or remove the record'),
        (PAIR | {"id": 7}, r'line 2: "id" is a number, not text; correct it'),
        (
            PAIR | {"id": "x", "worse": "파리예요."},
            r'line 2: "worse" is .*: is the same text as "better".*; correct it or remove',
        ),
        (
            PAIR | {"id": "x", "kind": "wrong fact"},
            r'line 2: "kind" is \'wrong fact\': must be one word .*; correct it',
        ),
        (PAIR | {"id": "x", "kind": ""}, r'line 2: "kind" is \'\': must be one word'),
        (PAIR, r'record 2: "id" is \'p0\', as in record 1; give every pair its own id'),
    ],
)
def test_a_bad_pair_is_one_error_line(tmp_path: Path, row: dict, message: str) -> None:
    path = write(tmp_path / "v1" / TEST_PAIRS_FILE, [PAIR, row])
    write(tmp_path / "v1" / SFT_FILE, sound_rows(5))
    with pytest.raises(UserError, match=message) as caught:
        clean(tmp_path / "v1", tmp_path / "v2")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "v2").exists()


def test_a_limit_keeps_some_pairs_of_each_kind(tmp_path: Path) -> None:
    rows = [PAIR | {"id": f"p{index}", "kind": kind} for index, kind in enumerate(["b", "a", "b", "a", "b"])]
    pairs = read_pairs(write(tmp_path / "pairs.jsonl", rows))
    assert [pair.id for pair in pairs_of_each_kind(pairs, 1)] == ["p0", "p1"]
    assert [pair.id for pair in pairs_of_each_kind(pairs, 2)] == ["p0", "p1", "p2", "p3"]
    assert pairs_of_each_kind(pairs, None) == pairs


def preference(prompt: str, best: str) -> dict:
    ranked = {"completion_0": f"잘 모르겠어요, {best[:2]}", "completion_1": best, "completion_2": "음, 글쎄요."}
    return {"prompt": prompt, **ranked, "ranking": [1, 2, 0]}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    """Return a folder whose training files ask the prompt of a pair, exactly and nearly."""
    folder = tmp_path_factory.mktemp("data")
    sft = sound_rows(40)
    assert bucket(sft[0]["prompt"]) == "train"
    pairs = [*PAIRS, PAIR | {"id": "p3", "kind": "wrong", "prompt": sft[0]["prompt"]}]
    near = {"prompt": sft[0]["prompt"] + "요", "completion": "가까운 질문에 대한 답이에요."}
    prompts = [f"{one} 옆의 {other} 이야기" for one in NOUNS for other in NOUNS[:8] if one != other]
    write(folder / "v1" / SFT_FILE, [*sft, near])
    write(folder / "v1" / PREFERENCE_FILE, [preference(prompt, f"{prompt}입니다.") for prompt in prompts])
    write(folder / "v1" / TEST_FILE, [{"id": "t0", "prompt": "호수는 깊은가요", "completion": "네.", "kind": "talk"}])
    write(folder / "v1" / TEST_PAIRS_FILE, pairs)
    clean(folder / "v1", folder / "v2")
    return folder


def test_cleaning_carries_the_pairs_unedited(data_dir: Path, tmp_path: Path) -> None:
    assert read(data_dir / "v2" / TEST_PAIRS_FILE) == read(data_dir / "v1" / TEST_PAIRS_FILE)
    clean(data_dir / "v2", tmp_path / "v3")
    assert (tmp_path / "v3" / TEST_PAIRS_FILE).read_bytes() == (data_dir / "v2" / TEST_PAIRS_FILE).read_bytes()
    assert "4 labelled pairs" in (data_dir / "v2" / "summary.md").read_text(encoding="utf-8")
    copy_raw(data_dir / "v1", tmp_path / "copy")
    assert (tmp_path / "copy" / TEST_PAIRS_FILE).read_bytes() == (data_dir / "v1" / TEST_PAIRS_FILE).read_bytes()


def test_prompts_of_pairs_are_not_trained_on(data_dir: Path) -> None:
    guard = Guard(pair["prompt"] for pair in read(data_dir / "v1" / TEST_PAIRS_FILE))
    raw = [row["prompt"] for row in read(data_dir / "v1" / SFT_FILE)]
    leaks = [prompt for prompt in raw if guard.reason(prompt)]
    assert len(leaks) >= 2
    assert not any(map(guard.reason, [row["prompt"] for row in read(data_dir / "v2" / SFT_FILE)]))
    keep = TrainingFilter(data_dir, raw=True)
    assert [keep.split(prompt) for prompt in leaks] == [None] * len(leaks)


def ready(data_dir: Path, tokenizer, **options) -> PreferenceDataModule:
    module = PreferenceDataModule(data_dir=data_dir, **options)
    module.connect(tokenizer)
    module.prepare_data()
    module.setup("fit")
    return module


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_second_test_loader_has_the_pairs(data_dir: Path, tokenizer, version: str) -> None:
    loaders = ready(data_dir, tokenizer, version=version, eval_batch_size=2).test_dataloader()
    assert len(loaders) == 2
    assert next(iter(loaders[RECORDS])).prompts
    found = {}
    for batch in loaders[LABELLED_PAIRS]:
        texts = [
            tokenizer.decode(row[:length], skip_special_tokens=False)
            for row, length in zip(batch.input_ids.tolist(), batch.lengths.tolist(), strict=True)
        ]
        for index, id_ in enumerate(batch.ids):
            found[id_] = (batch.prompts[index], *batch.answers[index], batch.kinds[index])
            for text, answer in zip(texts[2 * index :], batch.answers[index], strict=False):
                assert batch.prompts[index] in text
                assert answer in text
    expected = {row["id"]: tuple(row[key] for key in ("prompt", "better", "worse", "kind")) for row in PAIRS}
    assert {id_: found[id_] for id_ in expected} == expected
    assert len(found) == 4


def test_a_limit_of_test_records_limits_each_kind(data_dir: Path, tokenizer) -> None:
    records, pairs = ready(data_dir, tokenizer, limit_test=1).test_dataloader()
    assert [len(batch.ids) for batch in records] == [1]
    assert sorted(kind for batch in pairs for kind in batch.kinds) == ["noise", "wrong", "나만의-종류"]


def test_a_folder_without_pairs_works_as_before(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    shutil.copytree(data_dir / "v1", tmp_path / "v1")
    (tmp_path / "v1" / TEST_PAIRS_FILE).unlink()
    clean(tmp_path / "v1", tmp_path / "v2")
    assert not (tmp_path / "v2" / TEST_PAIRS_FILE).exists()
    module = ready(tmp_path, tokenizer)
    assert TEST_PAIRS_FILE not in [path.name for path in module.used_files()]
    assert [batch.prompts for batch in module.test_dataloader()]


def test_pairs_that_clean_did_not_write_are_refused(data_dir: Path, tokenizer, tmp_path: Path) -> None:
    shutil.copytree(data_dir, tmp_path / "data")
    write(tmp_path / "data" / "v2" / TEST_PAIRS_FILE, PAIRS)
    with pytest.raises(UserError, match=r"test_pairs\.jsonl: is not the file that clean wrote"):
        ready(tmp_path / "data", tokenizer)


def test_held_out_records_have_an_answer_to_another_prompt(data_dir: Path, tokenizer) -> None:
    """After the record's own prompt, with EOS; training batches have none."""
    module = ready(data_dir, tokenizer, eval_batch_size=4)
    records = module.val_dataloader()[RECORDS]
    best, compared = {}, 0
    for batch in records:
        best |= {completions[0]: prompt for prompt, completions in zip(batch.prompts, batch.completions, strict=True)}
    for batch in records:
        for row in range(len(batch.row)):
            if batch.grades[row] == OTHER:
                record = int(batch.row[row])
                ids = batch.input_ids[row, : batch.lengths[row]].tolist()
                text = tokenizer.decode(ids[:-1])
                assert batch.prompts[record] in text.split("### Response")[0]
                assert batch.others[record] in text.split("### Response")[1]
                assert ids[-1] == tokenizer.eos_token_id
                assert best[batch.others[record]] != batch.prompts[record]
                compared += 1
    assert compared == sum(len(batch.ids) for batch in records) > 2
    for batch in module.train_dataloader():
        assert batch.others == [None] * len(batch.ids)
        assert len(batch.row) == 3 * len(batch.ids)


def test_a_long_answer_to_another_prompt_is_cut_to_the_room(data_dir: Path, tokenizer) -> None:
    module = ready(data_dir, tokenizer, max_length=66, max_prompt_length=60)
    records = module.val_dataloader()[RECORDS]
    for batch in records:
        assert int(batch.lengths.max()) <= 66
        rows = range(len(batch.row))
        assert {int(batch.input_ids[row, batch.lengths[row] - 1]) for row in rows} == {tokenizer.eos_token_id}
