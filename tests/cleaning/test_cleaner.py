"""Cleaning keeps its promises: counts add up, nothing leaks, nothing is half-written, and v2 cleaned is v2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.settings import CleanSettings, load_settings
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard
from kochat.data.manifest import verify
from kochat.data.splits import bucket
from kochat.errors import UserError

TEST_PROMPTS = [p for i in range(200) if bucket(p := f"{i}번째 질문은 무엇인가요") == "test"][:2]
TRAIN_PROMPTS = [p for i in range(99) if bucket(p := f"이야기 {i * 7919} 들려줘") == "train"][:3]


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def preference(prompt: str, best: str, middle: str, worst: str) -> dict:
    return {"prompt": prompt, "completion_0": worst, "completion_1": best, "completion_2": middle, "ranking": [1, 2, 0]}


SFT_ROWS = [
    {"prompt": TRAIN_PROMPTS[0], "completion": "옛날 옛적에요.", "tokens": 5},
    {"prompt": f" {TRAIN_PROMPTS[1]}\u200b", "completion": "'그래요  좋아요. token: 9"},
    {"prompt": TRAIN_PROMPTS[0] + "?", "completion": "옛날 옛적에요."},
    {"prompt": "", "completion": "빈 질문"},
    {"prompt": "음", "completion": "짧은 질문"},
    {"prompt": TRAIN_PROMPTS[2], "completion": "가" * 1001},
    {"prompt": TEST_PROMPTS[0], "completion": " 시험 답 "},
    {"prompt": TEST_PROMPTS[0], "completion": "다른 답"},
    {"prompt": next(iter(FIXED_PROMPTS.values())), "completion": "시카고에요."},
    {"prompt": "ㅋㅋ 심심해", "completion": "산책 어때요 ㅋㅋ"},
]
RM_ROWS = [
    preference(TRAIN_PROMPTS[0], "좋은 답", "보통 답", "나쁜 답"),
    preference(TRAIN_PROMPTS[1], "같은 답", "같은 답 ", "나쁜 답"),
    preference(TRAIN_PROMPTS[2], "", "보통 답", "나쁜 답"),
    preference("나쁜 답이 비어 있으면?", "좋은 답", "보통 답", ""),
    preference(TEST_PROMPTS[0], "좋은 답", "보통 답", "나쁜 답"),
]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "v1"
    write(folder / "kochatgpt_1_SFT.jsonl", SFT_ROWS)
    write(folder / "kochatgpt_2_RM.jsonl", RM_ROWS)
    write(folder / "kochatgpt_3_PPO.jsonl", [{"prompt": p} for p in (*TRAIN_PROMPTS, *TEST_PROMPTS)])
    write(folder / "corpus.jsonl", [{"text": "글  하나"}, {"text": "글 하나"}, {"text": "글 둘", "source": "책"}])
    return folder


def test_every_row_is_kept_or_dropped_by_a_named_rule(raw: Path) -> None:
    report = clean(raw, raw.parent / "v2")
    for counts in report.files.values():
        assert counts.kept + counts.dropped == counts.read == counts.kept + sum(counts.dropped_by.values())
    assert report.files["kochatgpt_1_SFT.jsonl"].dropped_by == {
        "exact_duplicate": 1,
        "empty": 1,
        "too_short": 1,
        "too_long": 1,
        "held_out": 2,
        "fixed_prompt": 1,
    }
    assert report.files["kochatgpt_2_RM.jsonl"].dropped_by == {"equal_completions": 1, "empty": 1, "held_out": 1}
    assert report.files["kochatgpt_3_PPO.jsonl"].dropped_by == {"held_out": 2}
    assert report.files["corpus.jsonl"].dropped_by == {"exact_duplicate": 1}
    assert report.files["kochatgpt_1_SFT.jsonl"].changed_by["residue"] == 1


def test_cleaned_files(raw: Path) -> None:
    v2 = raw.parent / "v2"
    clean(raw, v2)
    assert read(v2 / "kochatgpt_1_SFT.jsonl") == [
        {"prompt": TRAIN_PROMPTS[0], "completion": "옛날 옛적에요."},
        {"prompt": TRAIN_PROMPTS[1], "completion": "그래요 좋아요."},
        {"prompt": "ㅋㅋ 심심해", "completion": "산책 어때요 ㅋㅋ"},
    ]
    assert [row["ranking"] for row in read(v2 / "kochatgpt_2_RM.jsonl")] == [[1, 2, 0], [1, 2, 0]]
    (answer,) = read(v2 / "test.jsonl")
    assert (answer["prompt"], answer["completion"], answer["kind"]) == (TEST_PROMPTS[0], "시험 답", "held_out")
    assert [row["prompt"] for row in read(v2 / "test_preferences.jsonl")] == [TEST_PROMPTS[0]]
    assert read(v2 / "corpus.jsonl") == [{"text": "글 하나", "source": ""}, {"text": "글 둘", "source": "책"}]


def test_ledger_names_file_row_rule_before_and_after(raw: Path) -> None:
    clean(raw, raw.parent / "v2")
    lines = read(raw.parent / "v2" / "ledger.jsonl")
    mended = [line for line in lines if line["file"] == "kochatgpt_1_SFT.jsonl" and line["index"] == 1]
    assert [line["rule"] for line in mended] == ["unicode", "whitespace", "whitespace", "residue", "stray_quotes"]
    assert mended[-1]["before"] == "'그래요  좋아요. token: 9"
    assert mended[-1]["after"] == "그래요 좋아요."
    (long,) = [line for line in lines if line["rule"] == "too_long"]
    assert (long["action"], long["index"], long["reason"]) == (
        "dropped",
        5,
        "completion: 1001 characters, more than 1000",
    )


def test_nothing_else_is_left_behind(raw: Path) -> None:
    clean(raw, raw.parent / "v2")
    assert sorted(path.name for path in (raw.parent / "v2").iterdir()) == [
        "corpus.jsonl",
        "kochatgpt_1_SFT.jsonl",
        "kochatgpt_2_RM.jsonl",
        "kochatgpt_3_PPO.jsonl",
        "ledger.jsonl",
        "manifest.json",
        "summary.json",
        "summary.md",
        "test.jsonl",
        "test_preferences.jsonl",
    ]
    assert sorted(path.name for path in raw.parent.iterdir()) == ["v1", "v2"]


def test_cleaning_v2_gives_v2(raw: Path) -> None:
    v2, v3 = raw.parent / "v2", raw.parent / "v3"
    clean(raw, v2)
    clean(v2, v3)
    clean(raw, v2)  # the same again, over itself
    names = {"kochatgpt_1_SFT.jsonl", "kochatgpt_2_RM.jsonl", "kochatgpt_3_PPO.jsonl", "corpus.jsonl", "test.jsonl"}
    for name in names | {"test_preferences.jsonl"}:
        assert (v3 / name).read_bytes() == (v2 / name).read_bytes()
    assert (v3 / "ledger.jsonl").read_text() == ""
    verify(v2 / name for name in names)


def test_a_given_test_set_is_kept_and_its_near_copies_are_dropped(raw: Path) -> None:
    given = [
        {"id": "t1", "prompt": "안동의 특산물은 무엇인지 알려 주세요", "completion": "간고등어", "kind": "trained"}
    ]
    write(raw / "test.jsonl", given)
    near = {"prompt": "안동의 특산물은 무엇인지 알려 주세요 제발", "completion": "간고등어"}
    write(raw / "kochatgpt_1_SFT.jsonl", [*SFT_ROWS, near])
    report = clean(raw, raw.parent / "v2")
    assert read(raw.parent / "v2" / "test.jsonl") == given
    assert report.files["kochatgpt_1_SFT.jsonl"].dropped_by["near_test"] == 1


def test_preferences_of_a_given_test_prompt_are_held_out(raw: Path) -> None:
    write(raw / "test.jsonl", [{"id": "t1", "prompt": TRAIN_PROMPTS[1], "completion": "답이에요", "kind": "trained"}])
    record = preference(TRAIN_PROMPTS[1], "좋은 답이에요", "보통 답이에요", "나쁜 답이에요")
    write(raw / "kochatgpt_2_RM.jsonl", [*RM_ROWS, record])
    clean(raw, raw.parent / "v2")
    prompts = [row["prompt"] for row in read(raw.parent / "v2" / "test_preferences.jsonl")]
    assert prompts == [TEST_PROMPTS[0], TRAIN_PROMPTS[1]]


def test_no_training_file_holds_a_test_or_fixed_prompt(raw: Path) -> None:
    v2 = raw.parent / "v2"
    clean(raw, v2)
    guard = Guard([*(row["prompt"] for row in read(v2 / "test.jsonl")), *FIXED_PROMPTS.values()])
    for name in ("kochatgpt_1_SFT.jsonl", "kochatgpt_2_RM.jsonl", "kochatgpt_3_PPO.jsonl"):
        prompts = [row["prompt"] for row in read(v2 / name)]
        assert [p for p in prompts if guard.reason(p) or bucket(p) == "test"] == []


def test_single_file_by_its_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"prompt": TRAIN_PROMPTS[0]}, {"prompt": TRAIN_PROMPTS[0]}])
    report = clean(path, tmp_path / "out")
    assert report.files["mine.jsonl"].kept == 1
    assert not (tmp_path / "out" / "test.jsonl").exists()
    with pytest.raises(UserError, match="no known keys"):
        clean(write(tmp_path / "odd.jsonl", [{"x": 1}]), tmp_path / "out")


def test_errors_leave_the_output_as_it_was(raw: Path) -> None:
    v2 = raw.parent / "v2"
    clean(raw, v2)
    before = {path.name: path.read_bytes() for path in v2.iterdir()}
    with (raw / "kochatgpt_3_PPO.jsonl").open("a") as stream:
        stream.write('{"prompt": null}\n')
    with pytest.raises(UserError, match=r"kochatgpt_3_PPO\.jsonl: line 6"):
        clean(raw, v2)
    assert {path.name: path.read_bytes() for path in v2.iterdir()} == before
    assert sorted(path.name for path in raw.parent.iterdir()) == ["v1", "v2"]


def test_refusals(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="raw files are never changed"):
        clean(raw, raw)
    with pytest.raises(UserError, match="holds none of"):
        clean(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="no such file"):
        clean(tmp_path / "absent.jsonl", tmp_path / "out")
    with pytest.raises(UserError, match=r"every one of its 10 records was dropped, most by too_short"):
        clean(raw, raw.parent / "v2", CleanSettings(min_completion=900))
    blocker = write(tmp_path / "file", [])
    with pytest.raises(UserError, match="cannot be written"):
        clean(raw, blocker / "v2")


def test_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "clean.yaml"
    path.write_text("max_prompt: 80\nmax_text: 1000\n")
    assert load_settings(path) == CleanSettings(max_prompt=80, max_text=1000)
    path.write_text("max_promt: 80\n")
    with pytest.raises(UserError, match="unknown setting 'max_promt'"):
        load_settings(path)
    path.write_text("min_prompt: -1\n")
    with pytest.raises(UserError, match="min_prompt is -1"):
        load_settings(path)


def test_a_changed_file_no_longer_verifies(raw: Path) -> None:
    v2 = raw.parent / "v2"
    clean(raw, v2)
    with (v2 / "test.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(UserError, match="not the file that clean wrote"):
        verify([v2 / "test.jsonl"])
    (v2 / "manifest.json").unlink()
    with pytest.raises(UserError, match="python -m kochat clean"):
        verify([v2 / "test.jsonl"])
