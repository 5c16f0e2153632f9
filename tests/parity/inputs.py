"""What other software and this are both given: features, and models of a few thousand weights."""

from typing import Any

import numpy as np

FEATURES = ("gaussian", "skewed", "singular")
NEIGHBOURS = (1, 3, 5)


def features(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of 64 features, `[500, 64]` and `[500, 64]`; of `ties` 8 features, `[300, 8]`."""
    rng = np.random.default_rng(0)
    if kind == "ties":  # whole numbers, of which many distances are equal
        x, y = (rng.integers(0, 5, size=(300, 8)).astype(np.float64) for _ in range(2))
        return x, y
    x, y = rng.normal(size=(500, 64)), 0.8 * rng.normal(size=(500, 64)) + 0.3
    if kind == "skewed":  # as after a ReLU
        x, y = np.maximum(x @ rng.normal(size=(64, 64)), 0), np.maximum(y, 0)
    if kind == "singular":
        flat = rng.normal(size=(20, 64))
        x, y = x[:, :20] @ flat, y[:, :20] @ flat
    return x, y


V, T = 11, 12
_GPT2: dict[str, Any] = {
    "vocab_size": V,
    "n_positions": T,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 4,
    "n_inner": 24,
    "layer_norm_epsilon": 0.01,
    "bos_token_id": 0,
    "eos_token_id": None,
}
_LLAMA: dict[str, Any] = {
    "vocab_size": V,
    "max_position_embeddings": T,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 0.01,
    "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
    "eos_token_id": None,
}
MODELS = {  # by name, the class of a configuration in `transformers` and its arguments
    "gpt2": ("GPT2Config", _GPT2),
    "untied-gpt2": (
        "GPT2Config",
        {**_GPT2, "tie_word_embeddings": False, "activation_function": "gelu"},
    ),
    "llama": ("LlamaConfig", _LLAMA),
    "biased-llama": (
        "LlamaConfig",
        {**_LLAMA, "attention_bias": True, "tie_word_embeddings": True},
    ),
    "mistral": ("MistralConfig", {**_LLAMA, "head_dim": 4, "sliding_window": 3}),
    "qwen3": ("Qwen3Config", {**_LLAMA, "head_dim": 4, "rms_norm_eps": 1e-5}),
}


def weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Tensors by name: biases of 0 and scales of 1 would hide where they are."""
    rng = np.random.default_rng(1)
    found = {name: 0.3 * rng.normal(size=shapes[name]) for name in sorted(shapes)}
    scales = [n for n, shape in shapes.items() if len(shape) == 1 and n.endswith("weight")]
    return {n: np.float32(x + (n in scales)) for n, x in found.items()}


def tokens() -> np.ndarray:
    """`[3, T]` of the vocabulary."""
    return np.random.default_rng(0).integers(0, V, (3, T))


def prompts() -> np.ndarray:
    """`[3, 4]` of the vocabulary."""
    return np.random.default_rng(0).integers(0, V, (3, 4))
