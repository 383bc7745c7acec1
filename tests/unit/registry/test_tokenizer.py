from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from adaptive_engine.registry import InvalidModel, ModelDirectory
from adaptive_engine.registry.gguf import GGUF, read_gguf
from adaptive_engine.registry.tokenizer import SPLITTINGS, build_tokenizer
from unit.registry.gguf_builder import byte_level_vocabulary, sentencepiece_vocabulary, write_gguf

TEXTS = [
    "Hello, world! It's 2026-11-21.",
    "héllo wörld, ñandú, naïve, e\u0301",
    "日本語のテキスト 中文 한국어 ไทย",
    "العربية עברית हिन्दी",
    "🙂👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "1234567890 3.14 1e10 ½ ² ٣٤٥ Ⅷ",
    "   leading",
    "trailing   ",
    "a\n\n\nb\r\n\tc",
    "\t\t\t",
    "   \n   \n",
    " ",
    "\n",
    "\u00a0no-break\u2003em\u3000wide",
    "\x00\x01\x7f",
    "def f(x: int) -> int:\n    return x**2  # ok\n",
    '{"a": [1, 2.5, null], "b": "c\\n"}',
    "I'll I'LL we've 'tis don't",
    "$100+5=<>~^|٪%‰",
    "a" * 300,
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "x<|endoftext|>y<repo_name>z<|im_sta",
]
PIECES = [chr(code) for code in [*range(32, 127), 9, 10, 13, 0xA0, 0xE9, 0x301, 0x4E2D, 0x1F600, 0x200D, 0x661, 0x2003]]
PIECES += ["<|im_end|>", "<|im_start|>", "  ", "\n\n", "12", " the", "ing", "\r\n"]


def random_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices(PIECES, k=rng.randint(1, 60))) for _ in range(count)]


def tokenizer_of(tmp_path: Path, vocabulary: dict[str, Any]) -> Tokenizer:
    return build_tokenizer(gguf_of(tmp_path, vocabulary))


def gguf_of(tmp_path: Path, vocabulary: dict[str, Any]) -> GGUF:
    return read_gguf(write_gguf(tmp_path / "model.gguf", vocabulary))


def test_the_default_model_gets_the_ids_of_the_openvino_tokenizer(openvino_model_dir: ModelDirectory) -> None:
    import openvino_genai

    theirs = openvino_genai.Tokenizer(str(openvino_model_dir.path))
    ours = Tokenizer.from_file(str(openvino_model_dir.path / "tokenizer.json"))
    for text in TEXTS + random_texts(1000):
        expected = theirs.encode(text, add_special_tokens=False).input_ids.data[0].tolist()
        assert ours.encode(text, add_special_tokens=False).ids == expected, text


def test_the_default_model_decodes_what_it_encoded(default_model_dir: ModelDirectory) -> None:
    tokenizer = Tokenizer.from_file(str(default_model_dir.path / "tokenizer.json"))
    for text in TEXTS + random_texts(300):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("pre", sorted(SPLITTINGS))
def test_byte_level_vocabularies_round_trip(tmp_path: Path, pre: str) -> None:
    tokenizer = tokenizer_of(tmp_path, byte_level_vocabulary(pre))
    for text in TEXTS:
        if pre == "qwen2" and "e\u0301" in text:
            continue  # Qwen composes characters before it encodes them.
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("pre", "tokens"),
    [("smollm", ["1", "2"]), ("gpt-2", ["12"]), ("llama-bpe", ["12"]), ("qwen2", ["1", "2"]), ("default", ["12"])],
)
def test_digits_are_split_as_the_family_does(tmp_path: Path, pre: str, tokens: list[str]) -> None:
    tokenizer = tokenizer_of(tmp_path, byte_level_vocabulary(pre))
    assert tokenizer.encode("12", add_special_tokens=False).tokens == tokens


def test_sentencepiece_merges_by_score_and_falls_back_to_bytes(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path, sentencepiece_vocabulary())
    encoded = tokenizer.encode("hello é")
    assert encoded.tokens == ["<s>", "▁hello", "▁", "<0xC3>", "<0xA9>"]
    for text in ("hello é", "  two  spaces", "line\nbreak 🙂"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_only_control_tokens_are_special(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    vocabulary["tokenizer.ggml.token_type"][1] = 4
    tokenizer = tokenizer_of(tmp_path, vocabulary)
    assert tokenizer.encode("<|im_start|><|im_end|>").ids == [1, 2]
    assert tokenizer.decode([1, 2]) == "<|im_start|>"


def test_bos_is_added_only_when_the_file_says_so(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    assert tokenizer_of(tmp_path, vocabulary).encode("he").ids[0] != 1
    with_bos = tokenizer_of(tmp_path, {**vocabulary, "tokenizer.ggml.add_bos_token": True})
    assert with_bos.encode("he").ids[0] == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"tokenizer.ggml.model": "bert"}, "kind 'bert' is not supported"),
    "pre-tokenizer": ({"tokenizer.ggml.pre": "tekken"}, "pre-tokenizer 'tekken' is not supported"),
    "token types": ({"tokenizer.ggml.token_type": [1]}, "but 1 token types"),
    "a token twice": ({"tokenizer.ggml.tokens": ["a"] * 264}, "the token 'a' twice"),
    "merge of strangers": ({"tokenizer.ggml.merges": ["he zz"]}, "does not join two of its tokens"),
    "merge without a space": ({"tokenizer.ggml.merges": ["he"]}, "does not join two of its tokens"),
    "special id": ({"tokenizer.ggml.eos_token_id": 9999}, "eos token has the id 9999"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_vocabulary_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        tokenizer_of(tmp_path, byte_level_vocabulary() | change)


def test_a_sentencepiece_vocabulary_with_a_huge_piece_is_refused(tmp_path: Path) -> None:
    vocabulary = sentencepiece_vocabulary()
    vocabulary["tokenizer.ggml.tokens"][-1] = "x" * 100_000
    with pytest.raises(InvalidModel, match="longer than 512 characters"):
        tokenizer_of(tmp_path, vocabulary)
