import csv
import random
from collections import Counter
from pathlib import Path

import pytest

from kochat.text.particles import fill
from kochat.world.agreement import read_labelled_answers
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


# The judge was mended on all three tables, so they hold what it was built to do, and say nothing about new answers.
@pytest.mark.parametrize(("table", "rows"), [("judged_answers.tsv", 200), ("judged_answers_later.tsv", 100)])
def test_the_judge_agrees_with_answers_labelled_by_hand(
    table: str, rows: int, world_judge: Judge, questions: dict
) -> None:
    lines = (HERE / table).read_text(encoding="utf-8").splitlines()
    labelled = list(csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(labelled) >= rows
    assert {row["verdict"] for row in labelled} == {verdict.value for verdict in Verdict}
    apart = []
    for row in labelled:
        verdict = world_judge.judge_question(questions[row["relation"], row["subject"]], row["answer"])
        if verdict.value != row["verdict"]:
            apart.append((row["subject"], row["answer"], row["verdict"], verdict.value))
    assert len(apart) <= 0.02 * len(labelled), apart


def test_wrong_is_seldom_said_of_answers_to_something_else(world_judge: Judge) -> None:
    rows = read_labelled_answers(HERE / "judged_answers_200.tsv")
    labels = Counter(row.verdict for row in rows if world_judge(row.prompt, row.answer) is Verdict.WRONG)
    assert labels["wrong"] >= 0.9 * labels.total()
    assert labels["wrong"] >= 0.9 * sum(row.verdict == "wrong" for row in rows)


@pytest.mark.parametrize(
    ("relation", "subject", "answer", "verdict"),
    [
        # with other particles and endings
        *(
            ("capital", "프랑스", answer, "correct")
            for answer in [
                "파리요",
                "파리라고 합니다.",
                "파리지요!",
                "파리가 프랑스의 수도랍니다.",
                "수도는 파리일 거예요.",
                "제가 알기로는 파리예요.",
            ]
        ),
        *(
            ("capital", "프랑스", answer, "wrong")
            for answer in [
                "리옹이요",
                "리옹이라고 합니다.",
                "런던이지요!",
                "런던이 프랑스의 수도랍니다.",
                "수도는 리옹일 거예요.",
                "마르세유인가요?",
            ]
        ),
        # another object of the relation, or a noun that is none of the world's, in the object's place
        ("author", "토지", "김아무개가 썼어요.", "wrong"),
        ("inventor", "축음기", "처음 생각해 낸 사람은 김아무개예요.", "wrong"),
        ("dish", "삼계탕", "삼계탕은 당근으로 만들어요.", "wrong"),
        ("holiday", "한글날", "3월 1일이 되면 꼭 챙기세요.", "wrong"),
        ("king_deed", "훈민정음 창제", "호주예요.", "wrong"),
        ("painter", "모나리자", "박수근입니다. 잘은 모르지만요.", "wrong"),
        # denials
        ("capital", "프랑스", "파리는 아니에요.", "wrong"),
        ("capital", "프랑스", "런던이 아니라 파리예요.", "correct"),
        ("capital", "프랑스", "런던이라고 답하면 틀려요. 파리입니다.", "correct"),
        ("capital", "프랑스", "런던이라는 말도 있지만 파리가 맞습니다.", "correct"),
        ("landmark", "에펠탑", "에펠탑은 프랑스에 있지 않아요.", "wrong"),
        # says that it does not know, or tells the reader to look it up
        *(
            ("capital", "프랑스", answer, "unknown")
            for answer in [
                "잘 모르겠습니다.",
                "미안해요, 잊어버렸어요.",
                "프랑스의 수도는 기억이 나지 않네요.",
                "글쎄요, 생각이 안 나요.",
                "그 질문에는 답하기 어려워요.",
                "지도에서 찾아보세요.",
                "사회 선생님께 여쭤 보세요.",
                "확실하지 않아서 말씀드릴 수가 없어요. 사전을 확인해 주세요.",
                "파리인지 런던인지 잘 모르겠어요.",
                "파리나 런던 중 하나인데 자신이 없네요.",
                "프랑스는 유명한 나라예요. 수도는 저도 궁금해요.",
            ]
        ),
        # a fact about another subject only: of the same relation, of another one, or of none
        ("capital", "프랑스", "이탈리아의 수도는 로마예요.", "off_the_point"),
        ("capital", "프랑스", "네, 핀란드의 수도는 헬싱키라고 해요.", "off_the_point"),
        ("capital", "프랑스", "어느나라고의 수도는 로마예요.", "off_the_point"),
        ("capital", "프랑스", "할롱베이는 베트남의 명소예요. 언젠가 꼭 한번 가 보세요!", "off_the_point"),
        ("author", "소나기", "복어로 만듭니다.", "off_the_point"),
        ("author", "소나기", "신정은 해마다 1월 1일이에요.", "off_the_point"),
        ("composer", "마술피리", "죄와 벌은 도스토옙스키의 작품이에요.", "off_the_point"),
        ("king_deed", "훈민정음 창제", "수소를 발견한 것은 헨리 캐번디시의 업적이에요.", "off_the_point"),
        ("speciality", "굴비", "곶감으로 이름난 고장은 상주예요.", "off_the_point"),
        ("painter", "모나리자", "뭉게구름은 고흐가 그렸어요.", "off_the_point"),
        # fluent, and about the subject, but no object is claimed
        ("capital", "프랑스", "프랑스는 포도주가 맛있는 나라예요.", "off_the_point"),
        ("element_symbol", "철", "철은 단단한 금속이에요.", "off_the_point"),
        ("discoverer", "페니실린", "페니실린은 세균을 막아 주는 약이에요.", "off_the_point"),
        # replies of everyday talk
        *(
            ("capital", "프랑스", answer, "off_the_point")
            for answer in [
                "네, 오랜만이에요. 더 열심히!",
                "정말 고마워요!",
                "네, 또 궁금한 것도 물어보세요!",
                "따뜻한 우유 한 잔 마시고 푹 쉬세요.",
                "관자놀이를 손가락으로 살살 눌러 주면 두통이 조금 나아져요.",
                "저는 한국어 문장으로 배운 언어 모델이에요.",
            ]
        ),
        # broken sentences
        ("dish", "삼계탕", "삶은 계란과 잘하실 거예요.", "off_the_point"),
        ("holiday", "한글날", "너무 본 길의 음악입니다.", "off_the_point"),
        ("composer", "마술피리", "얇은 옷을 입고 일찍하고 부드러운 게 첫걸음이에요.", "off_the_point"),
        # malformed
        ("antonym", "크다", "크다의 반대말은 '입니다.", "malformed"),
        ("capital", "프랑스", ". 도 수도를 자꾸 좋아요.", "malformed"),
        ("capital", "프랑스", "프랑스의 수도는", "malformed"),
        ("capital", "프랑스", "", "malformed"),
    ],
)
def test_every_kind_of_verdict(
    relation: str, subject: str, answer: str, verdict: str, world_judge: Judge, questions: dict
) -> None:
    assert world_judge.judge_question(questions[relation, subject], answer).value == verdict


@pytest.mark.parametrize("kind", ["good", "half", "wrong", "told"])
def test_the_judge_reads_every_sentence_of_the_world_as_it_is_meant(kind: str, world_judge: Judge) -> None:
    world = World.load()
    rng = random.Random(0)
    evasive = {Verdict.UNKNOWN, Verdict.OFF_THE_POINT}
    wanted = {"half": evasive, "wrong": {Verdict.WRONG}}.get(kind, {Verdict.CORRECT})
    apart = Counter()
    for question in world.questions:
        for text in _texts(kind, question, world, rng):
            if world_judge.judge_question(question, text) not in wanted:
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
