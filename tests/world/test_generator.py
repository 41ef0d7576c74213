import json
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from kochat.cleaning.text_edits import edit
from kochat.errors import UserError
from kochat.text.unicode_form import prompt_key
from kochat.world.clean_rows import RowWriter, is_corpus_only
from kochat.world.contents import World
from kochat.world.dirt import TOO_LONG_CHARS
from kochat.world.frozen_test import training_texts, trigrams
from kochat.world.generator import TRAINING_FILES, write_sample
from kochat.world.graded_answers import good_answers
from kochat.world.judgement import Verdict, embedded_judge
from kochat.world.sizes import SIZES

SFT, RM, PPO, CORPUS = TRAINING_FILES


def read(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quickstart")
    write_sample(folder, seed=0)
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, list[dict]]:
    return {path.name: read(folder, path.name) for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    counts = write_sample(tmp_path / "a", seed=3, size="tiny")
    assert counts == write_sample(tmp_path / "b", seed=3, size="tiny")
    write_sample(tmp_path / "c", seed=4, size="tiny")
    for name in counts:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(UserError, match="size='huge' is unknown; choose quickstart or rankings or full or tiny"):
        write_sample("unused", size="huge")


def test_the_quickstart_has_the_promised_numbers(rows: dict[str, list[dict]]) -> None:
    assert [len(rows[name]) for name in (SFT, RM, PPO)] == [2400, 1800, 1600]
    assert Counter(row["kind"] for row in rows["test.jsonl"]) == {
        "usual": 150,
        "roundabout": 150,
        "corpus_only": 27,
        "talk": 100,
    }
    clean = RowWriter(World.load(), 0, SIZES["quickstart"]).corpus()
    assert 230_000 < sum(len(row["text"]) for row in clean) < 270_000
    shares = Counter(label["file"] for label in rows["dirt.jsonl"])
    for name in (SFT, RM, PPO):
        assert 0.14 < shares[name] / len(rows[name]) < 0.16
    assert 0.14 < shares[CORPUS] / len(rows[CORPUS]) < 0.24  # a corpus also tells some texts twice


def test_rows_have_the_shape_of_kochatgpt(rows: dict[str, list[dict]]) -> None:
    assert all(set(row) == {"prompt", "completion"} for row in rows[SFT])
    assert all(set(row) == {"prompt"} for row in rows[PPO])
    assert all(set(row) == {"text", "source"} for row in rows[CORPUS])
    for row in rows[RM]:
        assert set(row) == {"prompt", "completion_0", "completion_1", "completion_2", "ranking"}
        assert sorted(row["ranking"]) == [0, 1, 2]
    first = Counter(row["ranking"][0] for row in rows[RM])
    assert min(first.values()) > 0.28 * len(rows[RM])  # the best stands in every place alike


ORDER = {Verdict.CORRECT: 0, Verdict.UNKNOWN: 1, Verdict.WRONG: 2, Verdict.OFF_THE_POINT: 2, Verdict.MALFORMED: 3}


def test_rankings_go_from_correct_over_unknown_to_wrong_and_off_the_point() -> None:
    verdicts: dict[int, Counter] = {place: Counter() for place in range(3)}
    for row in RowWriter(World.load(), 0, SIZES["quickstart"]).rm():
        found = [embedded_judge()(row["prompt"], row[f"completion_{index}"]) for index in row["ranking"]]
        if found[0] is not None:  # a question
            assert [ORDER[verdict] for verdict in found] == sorted(ORDER[verdict] for verdict in found), row
        for place, verdict in enumerate(found):
            verdicts[place][verdict] += 1
    assert set(verdicts[0]) == {Verdict.CORRECT, None}
    assert verdicts[2][Verdict.OFF_THE_POINT] > verdicts[2][Verdict.WRONG] > 0
    assert verdicts[2][Verdict.MALFORMED] < 0.15 * sum(verdicts[2].values())


def test_most_worst_completions_are_good_answers_to_other_prompts(rows: dict[str, list[dict]]) -> None:
    world = World.load().part(SIZES["quickstart"].facts_per_relation)
    good = {text for about in (*world.questions, *world.families) for text in good_answers(about)}
    worst = [row[f"completion_{row['ranking'][2]}"] in good for row in RowWriter(world, 0, SIZES["quickstart"]).rm()]
    assert 0.5 < statistics.mean(worst) < 0.75


def test_length_does_not_give_the_better_answer_away() -> None:
    longer: dict[tuple[str, int], list[float]] = {(kind, place): [] for kind in ("fact", "talk") for place in (1, 2)}
    for row in RowWriter(World.load(), 0, SIZES["quickstart"]).rm():
        lengths = [len(row[f"completion_{index}"]) for index in row["ranking"]]
        kind = "talk" if embedded_judge()(row["prompt"], "") is None else "fact"
        for place in (1, 2):
            longer[kind, place].append(0.5 + 0.5 * ((lengths[0] > lengths[place]) - (lengths[0] < lengths[place])))
    for shares in longer.values():
        assert 0.3 < statistics.mean(shares) < 0.7  # half-hearted talk is short by nature


def test_held_out_pairs_have_every_kind_and_balanced_lengths(rows: dict[str, list[dict]]) -> None:
    prompts = {row["prompt"]: row["kind"] for row in rows["test.jsonl"]}
    by_kind: dict[str, list[dict]] = {}
    for pair in rows["test_pairs.jsonl"]:
        assert set(pair) == {"id", "prompt", "better", "worse", "kind"}
        assert prompts[pair["prompt"]] != "corpus_only"
        by_kind.setdefault(pair["kind"], []).append(pair)
    assert set(by_kind) == {"other_prompt", "wrong", "unknown", "unknown_wrong", "rude", "half", "noise", "length"}
    for kind, pairs in by_kind.items():
        assert len(pairs) >= 80, kind
        longer = statistics.mean(len(pair["better"]) > len(pair["worse"]) for pair in pairs)
        assert 0.3 < longer < 0.7 or kind in ("length", "noise"), (kind, longer)
    for kind, verdict in (("wrong", Verdict.WRONG), ("unknown", Verdict.UNKNOWN), ("unknown_wrong", Verdict.WRONG)):
        found = Counter(embedded_judge()(pair["prompt"], pair["worse"]) for pair in by_kind[kind])
        assert found[verdict] > 0.97 * len(by_kind[kind]), (kind, found)


@pytest.mark.slow
def test_no_test_prompt_is_nearly_in_a_training_file(rows: dict[str, list[dict]]) -> None:
    texts = {text for name in TRAINING_FILES for text in training_texts(rows[name])}
    keys = set(map(prompt_key, texts))
    grams = [trigrams(text) for text in texts]
    for row in rows["test.jsonl"]:
        assert prompt_key(row["prompt"]) not in keys
        mine = trigrams(row["prompt"])
        near = (len(mine & other) / len(mine | other) for other in grams if other & mine)
        assert max(near, default=0) < 0.7, row["prompt"]


def test_corpus_only_facts_are_told_and_never_asked(rows: dict[str, list[dict]]) -> None:
    world = World.load().part(SIZES["quickstart"].facts_per_relation)
    hidden = [question for question in world.questions if is_corpus_only(question)]
    assert 0.06 < len(hidden) / len(world.questions) < 0.14
    asked = {prompt_key(row["prompt"]) for name in (SFT, RM, PPO) for row in rows[name]}
    told = "\n".join(row["text"] for row in rows[CORPUS])
    for question in hidden:
        assert asked.isdisjoint(map(prompt_key, question.asked()))
        assert all(fact.object in told for fact in question.facts)


def test_usual_and_roundabout_facts_of_the_test_set_are_asked_in_sft_in_other_words(
    rows: dict[str, list[dict]],
) -> None:
    asked = {prompt_key(row["prompt"]) for row in rows[SFT]}
    questions = {fact.id: question for question in World.load().questions for fact in question.facts}
    for row in rows["test.jsonl"]:
        if row["kind"] != "talk":
            known = not asked.isdisjoint(map(prompt_key, questions[row["fact_id"]].asked()))
            assert known == (row["kind"] in ("usual", "roundabout"))
            assert embedded_judge()(row["prompt"], row["completion"]) is Verdict.CORRECT


def test_ppo_has_prompts_that_sft_never_shows(rows: dict[str, list[dict]]) -> None:
    asked = {prompt_key(row["prompt"]) for row in rows[SFT]}
    unseen = sum(prompt_key(row["prompt"]) not in asked for row in rows[PPO])
    assert 0.3 < unseen / len(rows[PPO]) < 0.95


def test_every_label_points_to_a_row_that_has_its_dirt(rows: dict[str, list[dict]]) -> None:
    kinds: dict[str, set[str]] = {name: set() for name in TRAINING_FILES}
    for label in rows["dirt.jsonl"]:
        row = rows[label["file"]][label["index"]]
        kinds[label["file"]].add(label["kind"])
        text = row.get(label["field"])
        if label["of"] is not None:
            original = rows[label["file"]][label["of"]]
            assert label["of"] < label["index"]
            assert (mended(row) == mended(original)) == (label["kind"] == "exact_duplicate")
            first, second = (prompt_key(str(each.get("prompt", each.get("text")))) for each in (row, original))
            assert min(first, second, key=len)[3:] in max(first, second, key=len)  # a filler word more or other
        elif label["kind"] in ("equal_completions", "length_only"):
            best, middle, _ = (row[f"completion_{index}"] for index in row["ranking"])
            assert best == (middle if label["kind"] == "equal_completions" else f"{middle} {middle}")
        elif label["action"] == "repair":
            assert text != label["clean"]
            assert edit(text)[0] == label["clean"], label
        elif label["kind"] == "too_short":
            assert len(text) == 1
        elif label["kind"] == "too_long":
            assert TOO_LONG_CHARS < len(text) < 2 * TOO_LONG_CHARS
        elif label["kind"] == "english_noise":
            assert text.isascii()
        elif label["kind"] == "repetition":
            words = text.split()
            assert len(set(words)) <= 2
            assert len(words) >= 5
        elif label["kind"] == "placeholder":
            assert re.match(r"#[가-힣]+#|name1|&name2&|OOO|○○○", text)
        else:
            assert label["kind"] == "noise"
            assert judge_noise(text)
    assert len({frozenset(kinds[name]) for name in (SFT, PPO, CORPUS)}) == 1  # every kind in every file
    assert len(kinds[SFT]) == 14
    assert kinds[RM] == {*kinds[SFT], "equal_completions", "length_only"}


def mended(row: dict) -> dict:
    return {key: edit(value)[0] if isinstance(value, str) else value for key, value in row.items()}


def judge_noise(text: str) -> bool:
    common = sum("가" <= char <= "힣" and len(char.encode("euc_kr")) == 2 for char in text)
    return common == 0


def test_unlabelled_rows_are_clean_and_no_two_are_alike(rows: dict[str, list[dict]]) -> None:
    dirty = {(label["file"], label["index"]) for label in rows["dirt.jsonl"]}
    for name in (SFT, RM, PPO):
        clean = [row for index, row in enumerate(rows[name]) if (name, index) not in dirty]
        assert len({prompt_key(row["prompt"]) for row in clean}) == len(clean)
        for row in clean:
            for value in row.values():
                assert not isinstance(value, str) or edit(value)[0] == value
