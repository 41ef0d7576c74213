"""The rules over records: switches, what is judged in which record, and properties that hold for any text."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kochat.cleaning.row_rules import Edit, edit_record, problem, token_problem
from kochat.cleaning.rule_kinds import EditRule
from kochat.cleaning.rules import RULES, of_kind
from kochat.cleaning.settings import SETTINGS, CleanSettings, load_settings
from kochat.data.records import CorpusRecord, PreferenceRecord, PromptRecord, SFTRecord
from kochat.errors import UserError
from kochat.text.unicode_form import prompt_key

LOOP = "서울은 " * 9
BROKEN = "이 방법은 간단합니다. 먼저 물을 끓입니다. 그리고 면을 넣습니다. " * 3 + "그리고 뚜껑을"
DIRT = st.lists(
    st.sampled_from([
        *"'\"“”<>&;[]|#/ \n\t0가나.ㅋㅠ", "<b>", "</p>", "<br", "&lt;", "&amp;", "nbsp;", "</s>", "<|", "[CLS]", "token: 12", "토큰:",
        "', 'completion': ",
        "html", "\u200b", "\u1100\u1161", "\ud800", "#이름#", "name1", "그리고", "하는 ", "the of ", "### Response(응답):", "```",
        "서울은 ", "&#39;", "입니다. ",
    ]), max_size=16,
).map("".join)  # fmt: skip
TEXT = st.one_of(st.text(alphabet=st.characters(), max_size=60), DIRT)


def preference(best: str, middle: str = "모르겠어요.", worst: str = LOOP) -> PreferenceRecord:
    return PreferenceRecord(
        prompt="심심해", completion_0=middle, completion_1=best, completion_2=worst, ranking=[1, 0, 2]
    )


def rule_of(record, chosen=CleanSettings()) -> str | None:  # noqa: B008
    found = problem(record, chosen)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        (PromptRecord(prompt=""), "empty"),
        (PromptRecord(prompt="네"), "too_short"),
        (PromptRecord(prompt="가" * 501), "too_long"),
        (PromptRecord(prompt="심심해"), None),
        (PromptRecord(prompt="ㅂㅁㅎ;ㅈ#ㄷ"), "noise"),
        (PromptRecord(prompt="What is the capital of France?"), "non_korean"),
        (PromptRecord(prompt="#주소#는 어디예요?"), "placeholder"),
        (SFTRecord(prompt="심심해", completion=LOOP), "repetition"),
        (SFTRecord(prompt="영어로 인사해 줘", completion="Hello, how are you today?"), None),
        (SFTRecord(prompt="인사해 줘", completion="Hello, how are you today?"), "non_korean"),
        (SFTRecord(prompt="왜?", completion=BROKEN), "cut_off"),
        (CorpusRecord(text="The weather was cold and we were at home."), "non_korean"),
        (CorpusRecord(text=BROKEN), None),
        (preference("영화를 보세요."), None),
        (preference(""), "empty"),
        (preference("영화를 보세요.", worst=""), None),
        (preference(LOOP, worst="가나"), "repetition"),
        (preference("영화를 보세요.", middle="영화를 보세요."), "equal_completions"),
        (preference("영화를 보세요. 영화를 보세요!", middle="영화를 보세요"), "length_only"),
        (preference("영화를 보세요", middle="영화를 보세요. 영화를 보세요!"), None),
        (preference("영화를 보세요. 팝콘도 드세요.", middle="영화를 보세요."), None),
    ],
)  # fmt: skip
def test_the_rule_that_drops(record, rule: str | None) -> None:
    assert rule_of(record) == rule
    if rule:
        switched = CleanSettings(rules={rule: False})
        assert rule_of(record, switched) != rule


def test_an_edit_can_be_switched_off() -> None:
    record = SFTRecord(prompt="'심심해", completion="영화  보세요</s>")
    edited, edits = edit_record(record)
    assert edited.texts() == ("심심해", "영화 보세요")
    assert [(edit.field, edit.rule) for edit in edits] == [
        ("prompt", "stray_quotes"),
        ("completion", "special_tokens"),
        ("completion", "whitespace"),
    ]
    kept, edits = edit_record(record, CleanSettings(rules={"stray_quotes": False, "special_tokens": False}))
    assert kept.texts() == ("'심심해", "영화 보세요</s>")
    assert edits == [Edit("completion", "whitespace", "영화  보세요</s>", "영화 보세요</s>")]


def test_tokens_are_bounded_only_where_asked() -> None:
    assert token_problem(5000) is None
    assert token_problem(101, CleanSettings(max_tokens=100)) == ("too_long", "101 tokens, more than 100")
    assert token_problem(100, CleanSettings(max_tokens=100)) is None
    assert token_problem(101, CleanSettings(max_tokens=100, rules={"too_long": False})) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules: {repetitoin: false}", "rules names 'repetitoin', which is no rule; the rules are unicode, markup"),
        ("rules: {repetition: 0}", "rules.repetition is 0; give true or false"),
        ("rules: [repetition]", "give a mapping like {repetition: false}"),
        ("min_hangul: 0", "min_hangul is 0; give a number above 0, at most 1"),
        ("near_similarity: 1.5", "near_similarity is 1.5; give a number above 0, at most 1"),
        ("near_similarity: .nan", "near_similarity is nan; give a number above 0, at most 1"),
        ("max_tokens: many", "max_tokens is 'many'; give a whole number or null, 0 or more"),
        ("1: 2", "unknown setting '1'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "clean.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_committed_settings_are_the_defaults() -> None:
    path = Path(__file__).parents[2] / "configs" / "data" / "clean.yaml"
    committed = load_settings(path)
    assert committed.thresholds == CleanSettings().thresholds
    assert list(committed.rules.items()) == [(name, rule.on) for name, rule in RULES.items()]  # in their order
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sorted(told) == sorted(SETTINGS)  # every setting stands there


@given(TEXT, TEXT)
@example("&amp;###Response(가):nbsp;", "")
@settings(max_examples=300, deadline=None)
def test_any_text_is_edited_once_and_judged(prompt: str, completion: str) -> None:
    """No rule raises; editing again changes nothing; a prompt keeps its key; what passed passes again."""
    record = SFTRecord.model_construct(prompt=prompt, completion=completion)
    edited, _ = edit_record(record)
    assert edit_record(edited) == (edited, [])
    assert prompt_key(edited.prompt) == prompt_key(prompt)
    verdict = problem(edited)
    assert problem(edit_record(edited)[0]) == verdict
    for other in (
        CorpusRecord.model_construct(text=completion, source=""),
        PromptRecord.model_construct(prompt=prompt),
    ):
        problem(edit_record(other)[0])


@given(TEXT, st.sampled_from(sorted(rule.name for rule in of_kind(EditRule))))
@settings(max_examples=100, deadline=None)
def test_editing_is_idempotent_without_any_one_rule(text: str, off: str) -> None:
    chosen = CleanSettings(rules={off: False})
    edited, _ = edit_record(CorpusRecord.model_construct(text=text, source=""), chosen)
    assert edit_record(edited, chosen) == (edited, [])


@pytest.mark.parametrize(
    "unit",
    ["<", ">", "<b", "<b>", "&", "&amp;", "&#", "&l<b>t;", "#가", "#", "[", "name1", "a ", "the ", "ㅁ", "뷁", "가.", "가 ", "ë¤", ". ",
     "\ud800", "token: ",
     "\n- ", "12", "[가", "{이", "</s>", "'\"", "<a x", "<!--", "###", "``", "ㄱㄴ", "ㄱ"],
)  # fmt: skip
@pytest.mark.slow
def test_rules_take_linear_time(unit: str) -> None:
    """200,000 characters in a few seconds; what takes quadratic time takes minutes."""
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    wide = CleanSettings(rules={"too_long": False})
    record = SFTRecord.model_construct(prompt="가" + text, completion=text + "가")
    problem(edit_record(record, wide)[0], wide)
    assert time.process_time() - start < 5
