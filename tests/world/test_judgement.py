import csv
import random
from collections import Counter
from pathlib import Path

import pytest

from kochat.text.particles import fill
from kochat.world.contents import Question, World
from kochat.world.graded_answers import good_answers, half_answers
from kochat.world.judgement import Judge, Verdict, embedded_judge

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def world_judge() -> Judge:
    return embedded_judge()


@pytest.fixture(scope="module")
def questions() -> dict[tuple[str, str], Question]:
    return {(question.relation.id, question.facts[0].subject): question for question in World.load().questions}


# The judge was mended on both tables, so they hold what it was built to do, and say nothing about new answers: test_agreement.py
# does that. The first was labelled at once (the judge's first reading: 94%), the second in four further rounds, each before the
# judge saw it (first readings: 94%, 92%, 93%, 96%).
@pytest.mark.parametrize(("table", "rows"), [("judged_answers.tsv", 200), ("judged_answers_later.tsv", 100)])
def test_the_judge_agrees_with_answers_labelled_by_hand(
    table: str, rows: int, world_judge: Judge, questions: dict
) -> None:
    with open(HERE / table, encoding="utf-8", newline="") as file:
        labelled = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(labelled) >= rows
    assert {row["verdict"] for row in labelled} == {verdict.value for verdict in Verdict}
    apart = []
    for row in labelled:
        verdict = world_judge.judge_question(questions[row["relation"], row["subject"]], row["answer"])
        if verdict.value != row["verdict"]:
            apart.append((row["subject"], row["answer"], row["verdict"], verdict.value))
    assert len(apart) <= 0.02 * len(labelled), apart


@pytest.mark.parametrize("kind", ["good", "half", "wrong", "told"])
def test_the_judge_reads_every_sentence_of_the_world_as_it_is_meant(kind: str, world_judge: Judge) -> None:
    world = World.load()
    rng = random.Random(0)
    wanted = {"half": Verdict.ABSTAINED, "wrong": Verdict.WRONG}.get(kind, Verdict.CORRECT)
    apart = Counter()
    for question in world.questions:
        for text in _texts(kind, question, world, rng):
            if world_judge.judge_question(question, text) is not wanted:
                apart[text] += 1
    assert not apart


def _texts(kind: str, question: Question, world: World, rng: random.Random) -> list[str]:
    subject, relation = question.facts[0].subject, question.relation
    if kind == "good":
        return rng.sample(good_answers(question), k=2)
    if kind == "half":
        return [rng.choice(half_answers(question))]
    if kind == "told":
        return [fill(rng.choice(relation.statements), s=subject, o=question.facts[0].object)]
    right = {name for fact in question.facts for name in (*fact.objects, *fact.subjects)}
    others = [fact.object for fact in world.facts if fact.relation == relation.id and right.isdisjoint(fact.objects)]
    return [fill(rng.choice(relation.answers), s=subject, o=rng.choice(others))]


def test_questions_are_known_in_training_and_test_wordings_and_through_cleaning_edits(world_judge: Judge) -> None:
    question = next(question for question in World.load().questions if question.id == "capital/프랑스")
    for template in (*question.relation.questions, *question.relation.test_questions):
        prompt = question.ask(template)
        assert world_judge.question(f'  "{prompt.rstrip("?.")}" ').id == "capital/프랑스"
    assert embedded_judge()(question.ask(question.relation.questions[0]), "파리예요.") is Verdict.CORRECT


def test_a_prompt_that_asks_no_fact_is_not_judged() -> None:
    assert embedded_judge()("오늘 저녁 뭐 먹을까?", "파리예요.") is None


def test_conjoining_jamo_are_read_as_syllables(world_judge: Judge, questions: dict) -> None:
    import unicodedata

    answer = unicodedata.normalize("NFD", "프랑스의 수도는 파리입니다.")
    assert world_judge.judge_question(questions["capital", "프랑스"], answer) is Verdict.CORRECT
