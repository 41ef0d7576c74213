"""The one prompt template, used alike in SFT, reward model, PPO and generation."""

from __future__ import annotations

PROMPT_TEMPLATE = "### Instruction(명령어):\n{prompt}\n\n### Response(응답):"


def prompt_text(prompt: str) -> str:
    """Return `prompt` inside the template; the completion's tokens follow directly, then EOS."""
    return PROMPT_TEMPLATE.replace("{prompt}", prompt)
