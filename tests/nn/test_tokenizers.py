"""Tokenizers: Hangul survives, specials stay apart, what cannot serve is refused."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from kochat.errors import UserError
from kochat.nn.tokenizers import check_tokenizer, load_tokenizer, train_tokenizer
from kochat.text.tokenizer_identity import tokenizer_digest
from tests.conftest import TEXTS, write_base

KOGPT2 = Path(__file__).parents[3] / "shared" / "data" / "kogpt2"


@pytest.mark.parametrize("text", ["뷁 쀍 ㅋㅋㅋ ㅠㅠ", "안녕 <0x41>\n3.14 @#", "漢字 emoji 🙂", "두  칸"])
def test_trained_tokenizer_round_trips_any_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_special_tokens_have_ids_of_their_own(tokenizer):
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id) == (
        0,
        1,
        2,
        3,
    )


def test_typed_byte_token_is_text_not_a_byte(tokenizer):
    assert tokenizer.convert_tokens_to_ids("<0x41>") not in tokenizer("<0x41>", add_special_tokens=False)["input_ids"]


def test_training_twice_gives_the_same_tokenizer():
    assert tokenizer_digest(train_tokenizer(TEXTS, 400)) == tokenizer_digest(train_tokenizer(TEXTS, 400))


def test_digest_sees_another_vocabulary_and_survives_saving(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_digest(load_tokenizer(tmp_path)) == tokenizer_digest(tokenizer)
    assert tokenizer_digest(train_tokenizer(TEXTS, 380)) != tokenizer_digest(tokenizer)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_every_architecture_keeps_hangul(tmp_path, tokenizer, kind):
    """AutoTokenizer rebuilds a qwen2 folder's tokenizer by type and drops Hangul; ours reads the file as it is."""
    loaded = load_tokenizer(write_base(tmp_path, tokenizer, kind))
    assert loaded.decode(loaded("안녕하세요", add_special_tokens=False)["input_ids"]) == "안녕하세요"


def test_bare_tokenizer_json_gets_kogpt2_specials(tokenizer, tmp_path):
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    loaded = load_tokenizer(tmp_path)
    assert (loaded.eos_token, loaded.pad_token, loaded.unk_token) == ("</s>", "<pad>", "<unk>")


@pytest.mark.skipif(not KOGPT2.is_dir(), reason="the shared data is not here")
def test_real_kogpt2_tokenizer(tmp_path):
    for name in ("tokenizer.json", "config.json"):
        shutil.copy(KOGPT2 / name, tmp_path / name)
    loaded = load_tokenizer(tmp_path, vocab_size=51200)
    assert (loaded.eos_token_id, loaded.pad_token_id) == (1, 3)
    assert (
        loaded.decode(loaded("근육이 커지기 위해서는", add_special_tokens=False)["input_ids"]).strip()
        == "근육이 커지기 위해서는"
    )


def test_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_ids_beyond_the_embedding_are_refused(tokenizer):
    with pytest.raises(UserError, match="token ids reach 399, the embedding has 300 rows"):
        check_tokenizer(tokenizer, "here", vocab_size=300)


def test_lost_hangul_is_refused():
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({"</s>": 0, "<unk>": 1, "hello": 2}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    broken = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="</s>", unk_token="<unk>", pad_token="</s>")
    with pytest.raises(UserError, match="not made for Korean"):
        check_tokenizer(broken, "here")


def test_missing_eos_is_refused(tokenizer):
    nameless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match="no eos_token"):
        check_tokenizer(nameless, "here")
