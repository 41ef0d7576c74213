"""The one prompt template of SFT, reward model, PPO and generation."""

from __future__ import annotations

PROMPT_TEMPLATE = "### Instruction(명령어):\n{prompt}\n\n### Response(응답):"


def prompt_text(prompt: str) -> str:
    """Return `prompt` inside the template; the tokens of the completion and EOS follow directly."""
    return PROMPT_TEMPLATE.replace("{prompt}", prompt)
