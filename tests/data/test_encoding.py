"""One way to encode, with EOS, without control tokens in user text, and with the response header always there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kochat.data.encoding import encode_completion, encode_prompt, encode_prompts
from kochat.errors import UserError

KOGPT2 = Path(__file__).parents[3] / "shared" / "data" / "kogpt2" / "tokenizer.json"


@pytest.fixture(params=["small", "kogpt2"])
def any_tokenizer(request, tokenizer):
    if request.param == "small":
        return tokenizer
    if not KOGPT2.exists():
        pytest.skip("KoGPT2's tokenizer is not here")
    from transformers import PreTrainedTokenizerFast

    specials = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_file=str(KOGPT2), pad_token="<pad>", mask_token="<mask>", **specials)


def test_prompt_is_the_template(any_tokenizer) -> None:
    ids = encode_prompt(any_tokenizer, "안녕하세요")
    text = any_tokenizer.decode(ids).strip()
    assert text == "### Instruction(명령어):\n안녕하세요\n\n### Response(응답):"


def test_completion_ends_with_eos_also_when_cut(any_tokenizer) -> None:
    ids = encode_completion(any_tokenizer, "반갑습니다 " * 50)
    assert ids[-1] == any_tokenizer.eos_token_id
    assert any_tokenizer.eos_token_id not in ids[:-1]
    assert encode_completion(any_tokenizer, "반갑습니다 " * 50, 7) == [*ids[:6], any_tokenizer.eos_token_id]
    assert encode_completion(any_tokenizer, "", 7) == [any_tokenizer.eos_token_id]


def test_typed_control_tokens_stay_text(any_tokenizer) -> None:
    controls = {any_tokenizer.eos_token_id, any_tokenizer.pad_token_id, any_tokenizer.mask_token_id}
    text = "끝</s>이 아니다 <pad><mask> <unk>"
    assert not controls & set(encode_prompt(any_tokenizer, text))
    ids = encode_completion(any_tokenizer, text)
    assert not controls & set(ids[:-1])
    assert "</s>" in any_tokenizer.decode(ids[:-1])


def test_a_long_prompt_keeps_the_response_header(any_tokenizer) -> None:
    long, short = encode_prompts(any_tokenizer, ["길어요 " * 300, "짧아요"], 96)
    assert len(long) == 96
    assert any_tokenizer.decode(long).endswith("\n\n### Response(응답):")
    assert any_tokenizer.decode(long).lstrip().startswith("### Instruction(명령어):\n길어요")
    assert short == encode_prompt(any_tokenizer, "짧아요")
    with pytest.raises(UserError, match="max_prompt_length=3 leaves no room"):
        encode_prompt(any_tokenizer, "안녕", 3)
