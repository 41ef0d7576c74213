"""Write reviewed dialogues for the corpus of the base model: a prompt, an answer of some worth, and a verdict on it.

Text with good and bad answers and people's judgement of them is in every large corpus. It was added to help a reward model to compare
an answer with its prompt. A base of two million parameters did not learn this from it (docs/ppo.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from kochat.world.contents import Question, World
from kochat.world.dirt import SampleRow
from kochat.world.graded_answers import About, WorseAnswers, good_answer

_OPENINGS = ("다음 대화의 답을 평가해 보세요.", "이 답은 어떤가요?", "아래 답이 알맞은지 보세요.")
_VERDICTS = {
    "good": "평가: 알맞은 답이에요.",
    "other_prompt": "평가: 엉뚱한 답이에요.",
    "wrong": "평가: 틀린 답이에요.",
    "unknown": "평가: 모른다는 답이에요.",
    "rude": "평가: 무례한 답이에요.",
    "half": "평가: 성의 없는 답이에요.",
}
_FACT_SHARES = {"good": 8, "other_prompt": 5, "wrong": 5, "unknown": 2, "rude": 2, "half": 1}
_TALK_SHARES = {"good": 8, "other_prompt": 6, "rude": 2, "half": 2}


def reviewed_dialogues(
    world: World, prompts: Sequence[tuple[str, About]], rng: random.Random, write: Callable[[str, str], str]
) -> Iterator[SampleRow]:
    """Write reviewed dialogues over `prompts` (each with its question or family), without end: {text, source} rows.

    `write` writes a prompt and its answer as one text.
    """
    worse = WorseAnswers(world)
    while prompts:
        for prompt, about in rng.sample(list(prompts), k=len(prompts)):
            shares = _FACT_SHARES if isinstance(about, Question) else _TALK_SHARES
            (kind,) = rng.choices(list(shares), weights=list(shares.values()))
            good = good_answer(about, rng)
            answer = good if kind == "good" else worse.write(kind, about, good, rng)
            lines = (rng.choice(_OPENINGS), write(prompt, answer), _VERDICTS[kind])
            yield {"text": "\n".join(lines), "source": f"reviews/{kind}"}
