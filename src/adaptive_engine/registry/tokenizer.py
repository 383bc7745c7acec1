"""Builds `tokenizer.json` and its companions from the metadata of a GGUF file.

The pre-tokenizer patterns are facts about model families: each comes from the `tokenizer.json` that the family
publishes, and llama.cpp names them in `tokenizer.ggml.pre`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from adaptive_engine.registry.errors import InvalidModel
from adaptive_engine.registry.gguf import GGUF
from adaptive_engine.registry.vocabulary import CONTROL, USER_DEFINED, Vocabulary

# Every piece is tried at each of its cuts to find the merges of a SentencePiece model; real pieces are far shorter.
MAX_PIECE_CHARACTERS = 512

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a family cuts text into the words inside which bytes are merged: each pattern cuts what the last one left."""

    patterns: tuple[str, ...]
    normalizer: normalizers.Normalizer | None = None
    whole_words: bool = False
    """A word that is a token is taken as it is, without looking at the merges."""
    starts_with_bos: bool = False
    """What `tokenizer.ggml.add_bos_token` means when the file does not say."""


SPLITTINGS = {
    "default": Splitting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": Splitting((_GPT2,)),
    "smollm": Splitting((r"\p{N}", _GPT2)),
    "llama-bpe": Splitting((_LLAMA3,), whole_words=True, starts_with_bos=True),
    "qwen2": Splitting((_QWEN2,), normalizer=normalizers.NFC()),
}


def build_tokenizer(gguf: GGUF) -> Tokenizer:
    """The tokenizer of the model. Raises `InvalidModel` for a kind that we cannot reproduce token for token."""
    vocabulary = Vocabulary.read(gguf)
    kind = gguf.text("tokenizer.ggml.model")
    if kind == "gpt2":
        tokenizer, add_bos = _byte_level(gguf, vocabulary)
    elif kind == "llama":
        tokenizer, add_bos = _sentencepiece(gguf, vocabulary)
    else:
        raise InvalidModel(f"The tokenizer kind '{kind}' is not supported; known kinds: gpt2, llama.")
    _add_tokens(tokenizer, vocabulary)
    if gguf.flag("tokenizer.ggml.add_bos_token", add_bos) and vocabulary.bos is not None:
        bos = vocabulary.tokens[vocabulary.bos]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[bos, "$A"], pair=[bos, "$A", bos, "$B:1"], special_tokens=[(bos, vocabulary.bos)]
        )
    return tokenizer


def tokenizer_config(gguf: GGUF) -> dict[str, Any]:
    """What Hugging Face keeps in `tokenizer_config.json`."""
    vocabulary = Vocabulary.read(gguf)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": vocabulary.text(vocabulary.bos),
        "eos_token": vocabulary.text(vocabulary.eos),
        "unk_token": vocabulary.text(vocabulary.unknown),
        "pad_token": vocabulary.text(vocabulary.padding),
        "add_bos_token": gguf.flag("tokenizer.ggml.add_bos_token", False),
        "clean_up_tokenization_spaces": False,
        "model_max_length": gguf.integer(f"{gguf.text('general.architecture')}.context_length"),
    }


def _byte_level(gguf: GGUF, vocabulary: Vocabulary) -> tuple[Tokenizer, bool]:
    name = gguf.text("tokenizer.ggml.pre") or "default"
    splitting = SPLITTINGS.get(name)
    if splitting is None:
        raise InvalidModel(f"The pre-tokenizer '{name}' is not supported; known: {', '.join(sorted(SPLITTINGS))}.")
    merges = _declared_merges(gguf, vocabulary)
    tokenizer = Tokenizer(BPE(vocabulary.ids, merges, ignore_merges=splitting.whole_words))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splitting.patterns]
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    if splitting.normalizer is not None:
        tokenizer.normalizer = splitting.normalizer
    return tokenizer, splitting.starts_with_bos


def _sentencepiece(gguf: GGUF, vocabulary: Vocabulary) -> tuple[Tokenizer, bool]:
    merges = _declared_merges(gguf, vocabulary) or _merges_by_score(gguf, vocabulary)
    unknown = vocabulary.text(vocabulary.unknown)
    tokenizer = Tokenizer(BPE(vocabulary.ids, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(" ", "▁")]
    ends: list[decoders.Decoder] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if gguf.flag("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend("▁"))
        ends.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(ends)
    return tokenizer, True


def _declared_merges(gguf: GGUF, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    merges = []
    for number, merge in enumerate(gguf.strings("tokenizer.ggml.merges")):
        # A token may itself begin with a space, so the separator is the first space after the first character.
        cut = merge.find(" ", 1)
        left, right = merge[:cut], merge[cut + 1 :]
        if cut < 0 or not {left, right, left + right} <= vocabulary.ids.keys():
            raise InvalidModel(f"Merge {number} of the GGUF vocabulary ({merge!r}) does not join two of its tokens.")
        merges.append((left, right))
    return merges


def _merges_by_score(gguf: GGUF, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The merges that a SentencePiece model leaves unsaid: its pieces are joined in the order of their scores."""
    scores = gguf.numbers("tokenizer.ggml.scores")
    if len(scores) != len(vocabulary.tokens):
        raise InvalidModel(f"The GGUF file has {len(vocabulary.tokens)} tokens, but {len(scores)} scores.")
    ranked = []
    for piece, score in zip(vocabulary.tokens, scores, strict=True):
        if len(piece) > MAX_PIECE_CHARACTERS:
            raise InvalidModel(f"A token of the GGUF vocabulary is longer than {MAX_PIECE_CHARACTERS} characters.")
        for cut in range(1, len(piece)):
            left, right = vocabulary.ids.get(piece[:cut]), vocabulary.ids.get(piece[cut:])
            if left is not None and right is not None:
                ranked.append((-score, left, right))
    ranked.sort()
    return [(vocabulary.tokens[left], vocabulary.tokens[right]) for _, left, right in ranked]


def _add_tokens(tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    """Control tokens are special; tokens that the user defined are found in text too, but are printed."""
    pairs = list(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
    special = [AddedToken(token, normalized=False, special=True) for token, kind in pairs if kind == CONTROL and token]
    ordinary = [AddedToken(token, normalized=False) for token, kind in pairs if kind == USER_DEFINED and token]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(ordinary)
