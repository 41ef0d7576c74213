"""Ask a language model behind an OpenAI-compatible endpoint which of two answers is better.

Such judges prefer an answer for its place too (Zheng et al. 2023, arXiv:2306.05685), so each pair is asked in both orders; where the two
disagree it is a tie.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kochat.errors import UserError

_QUESTION = """다음 질문에 대한 두 답 가운데 어느 쪽이 더 나은지 고르세요.
질문에 맞고, 사실이 바르고, 자연스러운 답이 나은 답입니다. 길이는 보지 마세요.

질문: {prompt}

답 A: {first}

답 B: {second}

나은 쪽의 글자 A 또는 B만 쓰세요. 둘이 비슷하면 C를 쓰세요."""
_LETTERS = {"A": 1, "B": -1, "C": 0}
_MAX_TOKENS = 8


class PlannedJudge(BaseModel):
    """The endpoint of a study's YAML.

    Args:
        url: its address up to /chat/completions, such as http://127.0.0.1:8000/v1.
        model: the model's name there.
        key_variable: the environment variable with the API key; none is sent where it is not set.
        prompts: how many test prompts are asked for each pair of models, in the order of the test file.
        timeout: seconds to wait for an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://[^/]")
    model: str
    key_variable: str = "OPENAI_API_KEY"
    prompts: int = Field(default=100, ge=1)
    timeout: float = Field(default=60, gt=0)


def prefer(judge: PlannedJudge, prompt: str, ours: str, theirs: str) -> float:
    """Return 1 if `ours` is the better answer in both orders, -1 if `theirs` is, and 0 for a tie or two opinions.

    Raises:
        UserError: the endpoint cannot be reached, or its answer is no choice.
    """
    forth, back = _choice(judge, prompt, ours, theirs), -_choice(judge, prompt, theirs, ours)
    return float(forth) if forth == back else 0.0


def _choice(judge: PlannedJudge, prompt: str, first: str, second: str) -> int:
    question = _QUESTION.format(prompt=prompt, first=first, second=second)
    said = _reply(judge, question)
    letter = next((sign for sign in said if sign in _LETTERS), None)
    if letter is None:
        raise UserError(f"judge.model: {judge.model} answered {said[:40]!r} instead of A, B or C; choose another model")
    return _LETTERS[letter]


def _reply(judge: PlannedJudge, question: str) -> str:
    body = {
        "model": judge.model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": _MAX_TOKENS,
    }
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(judge.key_variable):
        headers["Authorization"] = f"Bearer {key}"
    where = f"{judge.url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(where, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=judge.timeout) as response:  # the plan allows http and https alone
            content: Any = json.load(response)
        return str(content["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        raise UserError(
            f"judge.url: {where} answers {error.code} {error.reason}; check url, model and {judge.key_variable}"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"judge.url: {where} cannot be used ({error}); start the server, or leave `judge` out"
        ) from error
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"judge.url: {where} does not answer as OpenAI's chat completions do; check the address"
        ) from error
