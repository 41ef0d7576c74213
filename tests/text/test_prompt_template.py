"""The template is a contract, byte for byte."""

from __future__ import annotations

from kochat.text.prompt_template import prompt_text


def test_template_bytes() -> None:
    assert prompt_text("안녕?") == "### Instruction(명령어):\n안녕?\n\n### Response(응답):"


def test_braces_in_a_prompt_are_text() -> None:
    assert prompt_text("{prompt} {x}") == "### Instruction(명령어):\n{prompt} {x}\n\n### Response(응답):"
