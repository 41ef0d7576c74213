"""Load, check and train tokenizers.

``tokenizer.json`` is read directly, never through ``AutoTokenizer``. ``AutoTokenizer`` rebuilds the tokenizer by the
model's type (gpt2, qwen2). If the file describes another kind of tokenizer, as KoGPT2's does, Hangul is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kochat.errors import UserError
from kochat.text.unicode_form import normalise

KOGPT2_SPECIALS = {
    "bos_token": "</s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
PROBE = "안녕하세요. 반갑습니다!"


def load_tokenizer(folder: Path, vocab_size: int | None = None) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model folder and check that it is fit for training.

    Raises:
        UserError: the folder has no fast tokenizer, Hangul is lost by encoding and decoding, there is no EOS token, or
            ids exceed ``vocab_size`` (the rows of the model's embedding).
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    elif (folder / "tokenizer_config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    else:
        raise UserError(f"{folder}: no tokenizer.json; give a model folder with a fast tokenizer")
    _name_special_tokens(tokenizer)
    _ensure_pad_token(tokenizer)
    check_tokenizer(tokenizer, str(folder), vocab_size)
    return tokenizer


def _name_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    """Set KoGPT2's special tokens if only a ``tokenizer.json`` without their names is there."""
    if tokenizer.eos_token_id is None:
        vocabulary = tokenizer.get_vocab()
        tokenizer.add_special_tokens({name: token for name, token in KOGPT2_SPECIALS.items() if token in vocabulary})


def _ensure_pad_token(tokenizer: PreTrainedTokenizerFast) -> None:
    """Give a tokenizer without a padding token (Llama, GPT-2) an existing token as padding; the vocabulary does not grow."""
    if tokenizer.pad_token_id is not None:
        return
    for candidate in ("<pad>", "<|pad|>", "[PAD]", tokenizer.unk_token, tokenizer.eos_token):
        if candidate is not None and candidate in tokenizer.get_vocab():
            tokenizer.add_special_tokens({"pad_token": candidate})
            return


def check_tokenizer(tokenizer: PreTrainedTokenizerFast, where: str, vocab_size: int | None = None) -> None:
    """Raise a UserError for an unfit tokenizer: not a fast one, no EOS, lost Hangul, or ids beyond the embedding.

    pad == eos is allowed here, since every mask in kochat comes from lengths and never from ``ids != pad``.
    """
    if not tokenizer.is_fast:
        raise UserError(f"{where}: the tokenizer is not a fast one; convert it to tokenizer.json")
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{where}: the tokenizer has no eos_token; set it in tokenizer_config.json, or answers never end"
        )
    ids = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    back = str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    if normalise(back) != PROBE:
        raise UserError(
            f"{where}: the tokenizer turns {PROBE!r} into {back!r}; it is not made for Korean or is loaded wrongly"
        )
    if vocab_size is not None and max(tokenizer.get_vocab().values()) >= vocab_size:
        raise UserError(
            f"{where}: token ids reach {max(tokenizer.get_vocab().values())}, the embedding has {vocab_size} rows"
        )


def token_ids(tokenizer: PreTrainedTokenizerFast, tokens: Iterable[str], field: str) -> list[int]:
    """Return the ids of tokens that are spelt as in the vocabulary.

    Raises:
        UserError: one of them is not a single token; the message names ``field``.
    """
    vocabulary = tokenizer.get_vocab()
    for token in tokens:
        if token not in vocabulary:
            raise UserError(
                f"{field}: {token!r} is no single token of this tokenizer; give one as it stands in tokenizer.json's "
                "vocabulary"
            )
    return [vocabulary[token] for token in tokens]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-fallback BPE on ``texts``: every text can be encoded, and special tokens have their own ids.

    A leading space is written as ``▁`` in the word; each digit and newline is its own token. Ids: 0 ``</s>``, 1 ``<unk>``, 2 ``<pad>``, 3
    ``<mask>``, then the 256 bytes, then the merges.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n|\d|[^\w\s]"), "isolated"),
            pre_tokenizers.Metaspace("▁", prepend_scheme="first"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["</s>", "<unk>", "<pad>", "<mask>"]
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials + byte_tokens, show_progress=False)
    tokenizer.train_from_iterator((normalise(text) for text in texts), trainer)
    tokenizer = Tokenizer.from_str(_demote_bytes(tokenizer.to_str(), set(byte_tokens)))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **KOGPT2_SPECIALS)


def _demote_bytes(serialised: str, byte_tokens: set[str]) -> str:
    """Make the byte tokens ordinary tokens instead of special ones, so that a typed ``<0x41>`` remains six characters."""
    content = json.loads(serialised)
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in byte_tokens]
    return json.dumps(content, ensure_ascii=False)
