"""The report's fixed prompts: every model answers them, and no model trains on them.

The first six are based on the questions that the seed study compared. Their wording makes the original prompts in KoChatGPT's files
near duplicates, so these are dropped from training. The other six ask about the embedded world and everyday talk.
"""

from __future__ import annotations

FIXED_PROMPTS: dict[str, str] = {
    "fixed-ohare": "시카고 오헤어 국제공항은 어디에 있어",
    "fixed-fine-dust": "오늘 미세먼지 어때?",
    "fixed-certificate": "지금 어디에 김영삼의 서울대학교 입학 및 졸업 증명서가 전시되어 있나?",
    "fixed-gangnam": "지금 강남역인데 여기서 오래 걸릴까요?",
    "fixed-nixon": "닉슨이 부통령으로 선출된 나이는 몇 살?",
    "fixed-bulgogi": "이 불고기용 고기 한우에요?",
    "fixed-hello": "안녕하세요",
    "fixed-france": "프랑스의 수도는 어디야?",
    "fixed-hangul": "한글을 만든 왕은 누구야?",
    "fixed-bibimbap": "비빔밥에는 무엇이 들어가?",
    "fixed-tired": "오늘 너무 피곤해. 뭐 하면 좋을까?",
    "fixed-thanks": "도와줘서 정말 고마워!",
}
