from pathlib import Path

import pytest

from kochat.errors import UserError
from kochat.world.contents import World
from kochat.world.frozen_test import TextIndex

RELATION = """name: 나라의 수도
statements: ["{s}의 수도는 {o}다.", "{o:은/는} {s}의 수도다.", "{s} 수도는 {o}다.", "{s} 하면 {o}다.", "{s}, {o}.", "{s}: {o}"]
questions: ["{s}의 수도는?", "{s} 수도가 어디야?", "{s} 수도 알려 줘.", "{s}의 서울은?", "{s} 수도 이름은?", "{s} 수도 뭐야?"]
usual_tests: ["{s:은/는} 어느 도시가 수도야?", "수도를 물을게, {s}!", "어디가 {s}의 수도지?"]
roundabout_tests: ["퀴즈! {s} 수도?", "숙제에 {s} 수도가 나왔어.", "{s}에 가는데 수도가 어디더라?"]
answers: ["{s}의 수도는 {o}입니다.", "{o:이에요/예요}, {s}!", "{s} 수도는 {o}.", "{o:이/가} {s}의 수도예요."]
evasive: ["{s:은/는} 나라예요.", "{s} 수도는 글쎄요.", "{s} 말고 다른 걸 물어보세요."]
unknown: ["{s} 수도는 몰라요.", "{s:은/는} 모르겠어요.", "{s}, 그건 제가 모르는 내용이에요."]
rude: ["{o}잖아.", "{o}, 그것도 몰라?", "또 물어? {o}."]
"""
TALK = """- id: hello
  name: 인사
  prompts: [안녕, 안녕하세요, 반가워, 하이, 안뇽]
  test_prompts: [여보세요, 처음 뵙겠습니다]
  replies: [안녕하세요!, 반가워요!, 어서 오세요!, 좋은 날이에요!]
  half: [네., 아 네.]
  rude: [왜., 그래서 뭐.]
"""
FACTS = "subject\tobject\tsubject_aliases\tobject_aliases\n프랑스\t파리\t\t빠리|Paris\n인도\t뉴델리\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"relations/capital.yaml": RELATION, "talk/hi.yaml": TALK, "facts/capital.tsv": FACTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_folder_becomes_frozen_values_in_file_order(folder: Path) -> None:
    world = World.load(folder)
    assert [fact.id for fact in world.facts] == ["capital/프랑스/파리", "capital/인도/뉴델리"]
    assert world.facts[0].objects == ("파리", "빠리", "Paris")
    assert [question.id for question in world.questions] == ["capital/프랑스", "capital/인도"]
    assert world.questions[0].asked()[0] == "프랑스의 수도는?"
    assert (world.families[0].topic, world.families[0].half) == ("hi", ("네.", "아 네."))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("facts/capital.tsv", "subject\t", "Subject\t", "facts/capital.tsv, line 1: the header"),
        ("facts/capital.tsv", "인도\t뉴델리", "프랑스\t파리", "facts/capital.tsv, line 3: .* twice"),
        ("facts/capital.tsv", "뉴델리", "뉴델리 ", "line 3, object: '뉴델리 ' is empty, has outer spaces"),
        ("facts/capital.tsv", "뉴델리", "뉴델리\t\t\t\t", "line 3: 6 columns; expected 4"),
        ("facts/capital.tsv", "빠리", "파리", "line 2, object_aliases: '파리' is the object itself"),
        ("relations/capital.yaml", "name: 나라의 수도", "title: 수도", "relations/capital.yaml: lacks name"),
        ("relations/capital.yaml", '"{s}의 수도는?", ', "", "questions: expected a list of at least 6"),
        ("relations/capital.yaml", "{s}의 수도는?", "수도는?", "questions: '수도는\\?' lacks {s}"),
        ("relations/capital.yaml", "{s}의 수도는?", "{s}{o}?", "may not use {o}"),
        ("relations/capital.yaml", "{s}의 수도는?", "{s}는 수도가?", "fixes a particle in '{s}는'"),
        ("relations/capital.yaml", "{s:은/는} 나라", "{s:은/느} 나라", "bad placeholder: unknown particle pair"),
        ("relations/capital.yaml", "{s:은/는} 나라", "{s:은/는} }나라", "stray brace"),
        ("relations/capital.yaml", "name: 나라의 수도", "name: [", "relations/capital.yaml: not YAML"),
        ("talk/hi.yaml", "하이", "안녕", "prompts: '안녕' is there twice"),
        ("talk/hi.yaml", "half: [네., 아 네.]", "half: [네., 1]", "half: 1 is not a text"),
        ("talk/hi.yaml", "  rude: [왜., 그래서 뭐.]\n", "", "family 1: lacks rude"),
        ("relations/capital.yaml", "{o}잖아.", "그걸 몰라?", "rude: '그걸 몰라\\?' lacks {o}"),
    ],
)
def test_a_bad_table_is_named_with_its_place(folder: Path, name: str, old: str, new: str, message: str) -> None:
    edit(folder, name, old, new)
    with pytest.raises(UserError, match=message):
        World.load(folder)


def test_a_table_without_its_other_half_is_an_error(folder: Path) -> None:
    (folder / "facts/river.tsv").write_text(FACTS, encoding="utf-8")
    with pytest.raises(UserError, match=r"facts/river.tsv: no relations/river.yaml"):
        World.load(folder)
    (folder / "facts/river.tsv").unlink()
    (folder / "facts/capital.tsv").unlink()
    with pytest.raises(UserError, match=r"facts/capital.tsv: missing"):
        World.load(folder)


def test_two_families_may_not_share_an_id(folder: Path) -> None:
    (folder / "talk/z.yaml").write_text(TALK, encoding="utf-8")
    with pytest.raises(UserError, match=r"talk/z.yaml, family 1, id: 'hello' is taken"):
        World.load(folder)


def test_two_relations_may_not_ask_in_the_same_words(folder: Path) -> None:
    (folder / "facts/river.tsv").write_text(FACTS, encoding="utf-8")
    (folder / "relations/river.yaml").write_text(RELATION, encoding="utf-8")
    with pytest.raises(UserError, match=r"'프랑스의 수도는\?' also asks capital/프랑스"):
        World.load(folder)


def test_the_embedded_world_is_as_broad_as_promised() -> None:
    world = World.load()
    assert len(world.facts) >= 500
    assert len(world.relations) >= 12
    assert len(world.families) >= 150
    assert min(len(family.prompts) for family in world.families) >= 15
    assert min(len(relation.questions) for relation in world.relations) >= 20
    assert len({fact.id for fact in world.facts}) == len(world.facts)


@pytest.mark.slow
def test_no_test_wording_of_the_embedded_world_is_near_a_training_wording() -> None:
    world = World.load()
    talk = TextIndex(prompt for family in world.families for prompt in family.prompts)
    near = [text for family in world.families for text in family.test_prompts if talk.holds_near(text)]
    for question in world.questions:
        asked = TextIndex(question.asked())
        near += [text for text in map(question.ask, question.relation.test_questions) if asked.holds_near(text)]
    assert near == []


def test_the_two_kinds_of_test_wording_share_none() -> None:
    for relation in World.load().relations:
        assert not set(relation.usual_tests) & set(relation.roundabout_tests)
