"""Raw data for the tests of cleaning: files of JSON lines, and rows that no rule objects to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kochat.data.splits import bucket

NOUNS = (
    "바다",
    "하늘",
    "고양이",
    "강아지",
    "자전거",
    "도서관",
    "학교",
    "시장",
    "기차",
    "공원",
    "호수",
    "사과",
    "포도",
    "나무",
    "구름",
    "편지",
    "음악",
    "그림",
)
VERBS = (
    "구경해요",
    "생각해요",
    "좋아해요",
    "기억해요",
    "찾아가요",
    "이야기해요",
    "그리워해요",
    "소개해요",
    "떠올려요",
    "바라봐요",
    "노래해요",
)


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sound_rows(number: int) -> list[dict[str, str]]:
    """Return different SFT rows of the training split that no rule drops or changes."""
    rows = []
    for one in NOUNS:
        for other in NOUNS:
            for verb in VERBS:
                prompt = f"{one} 앞에서 만난 {other} 이야기"
                if one != other and bucket(prompt) == "train":
                    rows.append({"prompt": prompt, "completion": f"저는 오늘 {other} 옆에서 {one}만 {verb}."})
                    break
    assert len(rows) >= number
    return rows[:number]
