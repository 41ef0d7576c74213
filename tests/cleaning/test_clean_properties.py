"""Whatever a file holds: no row is lost, cleaning again changes nothing, and the ledger accounts for the difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kochat.cleaning.cleaner import clean
from kochat.data.files import CORPUS_FILE, PREFERENCE_FILE, PROMPT_FILE, SFT_FILE
from kochat.errors import UserError
from tests.data.raw_data import read, sound_rows, write

# Few different texts, so that duplicates, conflicts and near copies of test prompts do occur.
TEXT = st.one_of(
    st.sampled_from([row[key] for row in sound_rows(8) for key in row]),
    st.sampled_from(["오늘 미세먼지 어때?", "안녕하세요", "네", "", " ㅋㅋ  심심해 ", "'그래요. token: 9", "가" * 1200]),
    st.sampled_from(["<b>굵게</b> 써요</s>", "#이름#님 반가워요", "네 네 네 네 네 네 네 네 네", "I really do not know what"]),
    st.text(st.sampled_from("가나다 .?ㅋa\u200b\n'\"<>&#{}"), max_size=30),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
NOT_ROWS = st.sampled_from([None, 3, {}, {"prompt": None}, ["x"], {"prompt": 1, "completion": "c"}])
RANKING = st.permutations([0, 1, 2])
MODELS = {
    SFT_FILE: st.fixed_dictionaries({"prompt": TEXT, "completion": TEXT}),
    PREFERENCE_FILE: st.fixed_dictionaries(
        {"prompt": TEXT, "completion_0": TEXT, "completion_1": TEXT, "completion_2": TEXT, "ranking": RANKING}
    ),
    PROMPT_FILE: st.fixed_dictionaries({"prompt": TEXT}),
    CORPUS_FILE: st.fixed_dictionaries({"text": TEXT, "source": TEXT}),
}


@st.composite
def data_folder(draw: st.DrawFn) -> dict[str, list]:
    """Draw files with up to 12 rows of anything, and at most one that is no row, among sound ones enough to pass it over."""
    files = {}
    for name in draw(st.sets(st.sampled_from(sorted(MODELS)), min_size=1, max_size=3)):
        bad = draw(st.lists(NOT_ROWS, max_size=1))
        rows = draw(st.lists(MODELS[name], max_size=12)) + FILLING[name][: 120 if bad else 3]
        at = draw(st.integers(0, len(rows)))
        files[name] = [*rows[:at], *bad, *rows[at:]]
    return files


SOUND = sound_rows(120)
FILLING = {
    SFT_FILE: SOUND,
    PREFERENCE_FILE: [
        {
            "prompt": row["prompt"],
            "completion_0": row["completion"],
            "completion_1": "글쎄요.",
            "completion_2": "몰라요.",
        }
        | {"ranking": [0, 1, 2]}
        for row in SOUND
    ],
    PROMPT_FILE: [{"prompt": row["prompt"]} for row in SOUND],
    CORPUS_FILE: [{"text": row["completion"], "source": "이야기"} for row in SOUND],
}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=data_folder())
def test_every_row_is_kept_dropped_or_skipped_and_v2_stays_v2(tmp_path_factory: pytest.TempPathFactory, files) -> None:
    folder = tmp_path_factory.mktemp("data")
    for name, rows in files.items():
        write(folder / "v1" / name, rows)
    report = clean(folder / "v1", folder / "v2")
    ledger = read(folder / "v2" / "ledger.jsonl")
    for name, rows in files.items():
        counts = report.files[name]
        gone = [line["index"] for line in ledger if line["file"] == name and line["action"] != "changed"]
        changed = {line["index"] for line in ledger if line["file"] == name and line["action"] == "changed"}
        kept = read(folder / "v2" / name)
        assert counts.read == len(rows) == counts.kept + counts.dropped + counts.skipped
        assert len(gone) == len(set(gone)) == counts.dropped + counts.skipped
        assert len(kept) == counts.kept
        stayed = [(at, row) for at, row in enumerate(rows) if at not in set(gone)]
        for (at, before), after in zip(stayed, kept, strict=True):
            assert (before != after) == (at in changed)
    clean(folder / "v2", folder / "v3")
    for name in files:
        assert (folder / "v3" / name).read_bytes() == (folder / "v2" / name).read_bytes()
    assert (folder / "v3" / "ledger.jsonl").read_bytes() == b""


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60) | st.builds(lambda value: json.dumps(value).encode(), st.lists(NOT_ROWS)))
def test_no_bytes_make_it_fall(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder: Path = tmp_path_factory.mktemp("data")
    (folder / SFT_FILE).write_bytes(content)
    with pytest.raises(UserError, match=SFT_FILE):
        clean(folder, folder / "v2")
    assert [path.name for path in folder.iterdir()] == [SFT_FILE]
