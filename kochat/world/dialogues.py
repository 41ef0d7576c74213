"""Write a prompt and its answer as a text of the corpus, in one of the forms in which dialogues are written down."""

from __future__ import annotations

import random

_PLAIN = "{prompt}\n{answer}"
_FORMS = (
    "질문: {prompt}\n답: {answer}",
    "가: {prompt}\n나: {answer}",
    "[물음] {prompt}\n\n[대답] {answer}",
    "Q. {prompt}\nA. {answer}",
    "<{prompt}>\n\n→ {answer}",
)
_PLAIN_SHARE = 0.4


def dialogue(prompt: str, answer: str, rng: random.Random) -> str:
    """Return the two lines, plain or with marks; a model that saw several forms learns a further one, its template, faster."""
    form = _PLAIN if rng.random() < _PLAIN_SHARE else rng.choice(_FORMS)
    return form.format(prompt=prompt, answer=answer)
