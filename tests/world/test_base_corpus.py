import json
import random
from collections import Counter
from pathlib import Path

import pytest

from kochat.runs import EMBEDDED_BASE, RunSpace
from kochat.world.base_corpus import PARTS, write_base_corpus
from kochat.world.contents import World
from kochat.world.frozen_test import TextIndex, training_texts
from kochat.world.graded_answers import good_answers
from kochat.world.judgement import Verdict, embedded_judge
from kochat.world.reviews import name_of, reviewed_dialogues

VERDICTS = {
    "good": Verdict.CORRECT,
    "other_prompt": Verdict.OFF_THE_POINT,
    "wrong": Verdict.WRONG,
    "unknown": Verdict.UNKNOWN,
    "rude": Verdict.CORRECT,
}


def test_a_reviewed_answer_is_what_the_review_says() -> None:
    world = World.load().part(4)
    asked = [(question.asked()[0], question) for question in world.questions]
    written = reviewed_dialogues(world, asked, random.Random(0), "{}\n{}".format)
    kinds: Counter = Counter()
    agreed: Counter = Counter()
    for _ in range(600):
        row = next(written)
        _, prompt, answer, verdict = row["text"].split("\n")
        kind = row["source"].removeprefix("reviews/")
        kinds[kind] += 1
        assert ("알맞은" in verdict) == (kind == "good")
        agreed[kind] += kind == "half" or embedded_judge()(prompt, answer) is VERDICTS[kind]
    assert set(kinds) == {*VERDICTS, "half"}
    for kind, count in kinds.items():
        assert agreed[kind] >= 0.8 * count, kind  # the judge does not know every rude tone


def test_a_review_names_what_prompt_and_answer_speak_of() -> None:
    world = World.load().part(4)
    abouts = {about.id: about for about in (*world.questions, *world.families)}
    prompts = [(f"{about.id}?", about) for about in abouts.values()]
    seen = set()
    for row, _ in zip(reviewed_dialogues(world, prompts, random.Random(0), "{}\n{}".format), range(800), strict=False):
        _, prompt, answer, review = row["text"].split("\n")
        about, kind = abouts[prompt.removesuffix("?")], row["source"].removeprefix("reviews/")
        seen.add(kind)
        assert f"물음은 {name_of(about)}. 답은 " in review
        said = review.split("답은 ")[1].split(".")[0]
        if kind == "good":
            assert said.startswith(name_of(about))
        if kind == "other_prompt":
            other = next(
                other for other in abouts.values() if said.startswith(name_of(other)) and answer in good_answers(other)
            )
            assert other is not about
        assert ("바른 답은" in review) == (kind == "wrong")
        if kind == "wrong":
            assert said.split(", ")[-1] in answer.replace(about.facts[0].subject, "")
            assert said.split(", ")[-1] not in {fact.object for fact in about.facts}
            assert f"바른 답은 {about.facts[0].object}." in review
    assert seen == {"good", "other_prompt", "wrong", "unknown", "rude", "half"}


@pytest.mark.slow
@pytest.mark.parametrize("part", list(PARTS))
def test_the_base_corpus_has_no_test_wording_nor_a_near_copy(tmp_path: Path, part: str) -> None:
    write_base_corpus(tmp_path / "corpus.jsonl", part, characters=150_000)
    rows = [json.loads(line) for line in (tmp_path / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["source"].split("/")[0] for row in rows} == {"facts", "asked", "talk", "reviews"}
    index = TextIndex(training_texts(rows))
    world = World.load()
    tests = [prompt for family in world.families for prompt in family.test_prompts]
    tests += [question.ask(text) for question in world.questions[::7] for text in question.relation.test_questions]
    assert not [prompt for prompt in tests if index.holds_near(prompt)]


def test_the_embedded_base_is_small_and_found_by_its_name() -> None:
    source = RunSpace(Path("no_such_folder")).require_source("model.base", EMBEDDED_BASE)
    assert source.directory is not None
    files = {path.name: path.stat().st_size for path in source.directory.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    assert sum(files.values()) < 10 * 2**20
