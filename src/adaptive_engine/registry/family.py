"""Facts about the families that can be converted, and the `config.json` that their GGUF metadata amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import isfinite, prod
from typing import Any

from adaptive_engine.registry.errors import InvalidModel
from adaptive_engine.registry.gguf import GGUF, Tensor
from adaptive_engine.registry.vocabulary import Vocabulary

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

# Those that the engine can give images to; `engine/vision/family.py` has how.
VISION_FAMILIES = frozenset({"idefics3", "smolvlm", "llava"})


@dataclass(frozen=True, slots=True)
class TensorType:
    """A ggml tensor type: weights are stored in blocks of `weights` numbers, `bytes` long."""

    name: str
    weights: int
    bytes: int


# The ggml tensor types that the converter reads, by their numbers.
TENSOR_TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    8: TensorType("Q8_0", 32, 34),
    12: TensorType("Q4_K", 256, 144),
    14: TensorType("Q6_K", 256, 210),
}

# Tensors that every supported family has, in the model and in each of its layers.
MODEL_TENSORS = ("token_embd.weight", "output_norm.weight")
LAYER_TENSORS = ("attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
# Of qwen3, where each layer has them, and of no other.
_HEAD_NORMS = ("attn_q_norm", "attn_k_norm")

# `general.file_type`, which names the quantization of most of the tensors.
FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 14: "Q4_K_S", 15: "Q4_K_M", 18: "Q6_K"}


def check_readable(gguf: GGUF) -> str:
    """The family of the model, or `InvalidModel` for what neither engine can run."""
    family = gguf.text("general.architecture")
    if family not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InvalidModel(
            f"The model family '{family}' is not supported; GGUF files of these can be imported: {known}."
        )
    if (gguf.integer("split.count") or 1) > 1:
        raise InvalidModel("The file is one part of a split model. Join the parts first: llama-gguf-split --merge.")
    for tensor in gguf.tensors.values():
        _check_tensor(gguf, tensor)
    _check_complete(gguf, family)
    return family


def rope_scaling(gguf: GGUF, family: str) -> str | None:
    """How the file says that positions are scaled, beside what its tensors say."""
    scaling = gguf.text(f"{family}.rope.scaling.type")
    if scaling is None:
        # Older files say the factor alone.
        factors = (gguf.number(f"{family}.rope.{name}") for name in ("scaling.factor", "scale_linear"))
        return "linear" if any(factor not in (None, 0.0, 1.0) for factor in factors) else None
    return None if scaling == "none" else scaling


def check_convertible(gguf: GGUF, family: str) -> None:
    """Raises `InvalidModel` saying why the converter for OpenVINO would change the model."""
    if "rope_freqs.weight" in gguf.tensors or rope_scaling(gguf, family):
        raise InvalidModel(
            "The model scales its rotary positions, which the GGUF converter ignores: its answers would be wrong. "
            "Export the original model with optimum-cli and import the OpenVINO directory."
        )


def quantization(gguf: GGUF) -> str:
    number = gguf.integer("general.file_type")
    return FILE_TYPES.get(-1 if number is None else number, "mixed")


def model_config(gguf: GGUF, family: str) -> dict[str, Any]:
    """What Hugging Face keeps in `config.json`."""
    vocabulary = Vocabulary.read(gguf)
    heads = _required(gguf, f"{family}.attention.head_count")
    hidden = _required(gguf, f"{family}.embedding_length")
    if heads == 0:
        raise InvalidModel(f"GGUF metadata '{family}.attention.head_count' must not be 0.")
    return {
        "model_type": family,
        "architectures": [ARCHITECTURES[family]],
        "vocab_size": len(vocabulary.tokens),
        "hidden_size": hidden,
        "intermediate_size": _required(gguf, f"{family}.feed_forward_length"),
        "num_hidden_layers": _required(gguf, f"{family}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": gguf.integer(f"{family}.attention.head_count_kv") or heads,
        "head_dim": gguf.integer(f"{family}.attention.key_length") or hidden // heads,
        "max_position_embeddings": _required(gguf, f"{family}.context_length"),
        "rope_theta": gguf.number(f"{family}.rope.freq_base") or 10_000.0,
        "rms_norm_eps": gguf.number(f"{family}.attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "pad_token_id": vocabulary.padding,
    }


def generation_config(gguf: GGUF) -> dict[str, Any]:
    """What Hugging Face keeps in `generation_config.json`; `eos_token_id` lists every token that ends an answer."""
    vocabulary = Vocabulary.read(gguf)
    ends = vocabulary.ends(gguf)
    if not ends:
        raise InvalidModel("The GGUF file names no token that ends an answer (tokenizer.ggml.eos_token_id).")
    return {"bos_token_id": vocabulary.bos, "eos_token_id": ends, "pad_token_id": vocabulary.padding}


def _required(gguf: GGUF, key: str) -> int:
    value = gguf.integer(key)
    if value is None:
        raise InvalidModel(f"The GGUF file lacks the metadata '{key}'.")
    return value


def _check_complete(gguf: GGUF, family: str) -> None:
    """The converter calls what is missing `map::at`, or does without it; this says it in words."""
    _required(gguf, "general.file_type")
    if gguf.number(f"{family}.attention.layer_norm_rms_epsilon") is None:
        raise InvalidModel(f"The GGUF file lacks the metadata '{family}.attention.layer_norm_rms_epsilon'.")
    for name in ("attention.layer_norm_rms_epsilon", "rope.freq_base"):
        number = gguf.number(f"{family}.{name}")
        if number is not None and not (isfinite(number) and number >= 0):
            raise InvalidModel(f"GGUF metadata '{family}.{name}' must be a number from 0 on, not {number}.")
    layers = range(_required(gguf, f"{family}.block_count"))
    expected = LAYER_TENSORS + _HEAD_NORMS if family == "qwen3" else LAYER_TENSORS
    in_layers = (f"blk.{layer}.{name}.weight" for layer in layers for name in expected)
    # Stops at the first name that is missing, so a huge layer count costs nothing.
    for name in chain(MODEL_TENSORS, in_layers):
        if name not in gguf.tensors:
            raise InvalidModel(f"The GGUF file lacks the tensor '{name}'.")
    if family != "qwen3":
        # Both engines would apply them, though nobody says how these families mean them.
        for name in (f"blk.{layer}.{norm}.weight" for layer in layers for norm in _HEAD_NORMS):
            if name in gguf.tensors:
                raise InvalidModel(
                    f"The GGUF file has the tensor '{name}', which models of the family '{family}' do not have."
                )
    vocabulary = len(gguf.strings("tokenizer.ggml.tokens"))
    if gguf.tensors["token_embd.weight"].shape[1:] != (vocabulary,):
        raise InvalidModel(f"The GGUF file names {vocabulary} tokens, but does not embed as many.")


def _check_tensor(gguf: GGUF, tensor: Tensor) -> None:
    kind = TENSOR_TYPES.get(tensor.type)
    if kind is None:
        known = ", ".join(known.name for known in TENSOR_TYPES.values())
        raise InvalidModel(f"Tensor '{tensor.name}' has the ggml type {tensor.type}; the converter reads {known}.")
    weights = prod(tensor.shape)
    end = gguf.data_offset + tensor.offset + -(-weights // kind.weights) * kind.bytes
    if weights == 0 or end > gguf.size:
        raise InvalidModel(
            f"Tensor '{tensor.name}' of shape {list(tensor.shape)} would end at byte {end}, but the file has "
            f"{gguf.size} bytes. It was probably not downloaded to its end."
        )
