"""The split is fixed for ever, and the guard misses no near duplicate."""

from __future__ import annotations

import random
import time
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard
from kochat.data.similarity import NEAR_DUPLICATE, jaccard, ngrams
from kochat.data.splits import bucket
from kochat.text.unicode_form import prompt_key

VALIDATION = [24, 30, 34, 59, 86]
TEST = [18, 57, 98]


def test_buckets_never_move() -> None:
    assert [i for i in range(100) if bucket(f"질문 {i}") == "validation"] == VALIDATION
    assert [i for i in range(100) if bucket(f"질문 {i}") == "test"] == TEST
    assert bucket(" 질문0? ") == bucket("질문 0")


def test_shares_are_90_5_5() -> None:
    counts = Counter(bucket(f"프롬프트 번호 {i}") for i in range(10_000))
    assert 8_850 < counts["train"] < 9_150
    assert 400 < counts["validation"] < 600
    assert 400 < counts["test"] < 600


def test_jaccard_of_three_grams() -> None:
    assert ngrams("가나다라") == {"가나다", "나다라"}
    assert ngrams("가나") == {"가나"}
    assert ngrams("") == {""}
    assert jaccard(ngrams("가나다라"), ngrams("가나다마")) == 1 / 3


def test_guard_says_why() -> None:
    guard = Guard(["프랑스의 수도는 어디에 있나요", "안녕"], label="test prompt")
    assert guard.reason("프랑스의  수도는 어디에 있나요?") == "same as the test prompt '프랑스의 수도는 어디에 있나요'"
    assert guard.reason("프랑스의 수도는 어디에 있나") == (
        "near duplicate (0.91) of the test prompt '프랑스의 수도는 어디에 있나요'"
    )
    assert guard.reason("독일의 수도는 어디예요") is None
    assert guard.reason("안녕히") is None
    assert len(guard) == 2


def test_empty_guard_lets_all_pass() -> None:
    assert Guard([]).reason("안녕하세요") is None


@given(st.lists(st.text("가나다", max_size=12), max_size=8), st.text("가나다", max_size=12))
def test_guard_equals_brute_force(guarded: list[str], prompt: str) -> None:
    grams = ngrams(prompt_key(prompt))
    near = any(jaccard(grams, ngrams(prompt_key(other))) >= NEAR_DUPLICATE for other in guarded)
    same = any(prompt_key(prompt) == prompt_key(other) for other in guarded)
    assert (Guard(guarded).reason(prompt) is not None) == (near or same)


def test_twelve_thousand_prompts_against_nine_hundred_take_seconds() -> None:
    rng = random.Random(0)
    words = [
        "서울",
        "날씨",
        "어때요",
        "무엇인가",
        "대한민국",
        "추천해",
        "알려줘",
        "언제",
        "누가",
        "만들었나",
        "오늘",
        "수도는",
    ]
    prompts = [" ".join(rng.choices(words, k=6)) + str(rng.randrange(500)) for _ in range(12_900)]
    start = time.process_time()
    guard = Guard(prompts[:900])
    for prompt in prompts[900:]:
        guard.reason(prompt)
    assert time.process_time() - start < 10


def test_fixed_prompts_are_twelve_and_distinct() -> None:
    assert len(FIXED_PROMPTS) == 12
    assert len({prompt_key(prompt) for prompt in FIXED_PROMPTS.values()}) == 12
    for word in ("오헤어", "미세먼지", "김영삼", "강남역", "닉슨", "한우"):
        assert any(word in prompt for prompt in FIXED_PROMPTS.values())


def test_the_seed_studys_own_wordings_are_guarded() -> None:
    guard = Guard(FIXED_PROMPTS.values(), label="fixed prompt")
    for prompt in (
        "불고기용 고기 한우에요?",
        "제가 지금 강남역인데, 여기서 오래 걸릴까요?",
        "닉슨이 부통령으로 선출된 나이는?",
    ):
        assert "near duplicate" in (guard.reason(prompt) or "")
