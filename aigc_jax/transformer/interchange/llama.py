"""Llama and its relatives in the names of `transformers`, and in those of our blocks.

Their matrices are [outputs, inputs], and queries, keys and values are separate. Mistral is Llama
with a window; Qwen 3 is Llama with normalised queries and keys.

Source: modeling_{llama,mistral,qwen3}.py and configuration_*.py of transformers 5.24.
"""

from functools import partial
from typing import Any

from aigc_jax.errors import InputError
from aigc_jax.layers import RMSNorm
from aigc_jax.transformer.architecture import LLAMA_BLOCKS as LLAMA_BLOCKS
from aigc_jax.transformer.architecture import Architecture, Positions, epsilon_norm
from aigc_jax.transformer.interchange.matching import Match
from aigc_jax.transformer.interchange.settings import (
    Family,
    Settings,
    activation,
    insist,
    insist_on_options,
    name_of,
    number,
    real,
    shown,
    switch,
)

_CLASSES = {"llama": "Llama", "mistral": "Mistral", "qwen3": "Qwen3"}
_BASE = 10_000.0  # of rotary positions, by default
_QUERY_KEY_EPSILON = RMSNorm().epsilon  # which our blocks have fixed
_FIXED: dict[str, Any] = {
    "encoder_layers": 0,
    "positions": Positions.ROTARY,
    "post_norm": False,
    "gated": True,
    "score_cap": None,
    "logit_cap": None,
    "scaled_embedding": False,
}


def _architecture(settings: Settings, kind: str) -> Architecture:
    """What config.json describes.

    Raises:
      InputError: it is not what our blocks compute.
    """
    width = number(settings, "hidden_size")
    heads = number(settings, "num_attention_heads")
    epsilon = real(settings, "rms_norm_eps", 1e-6)
    # Llama's first files leave out what follows from the rest.
    old = kind == "llama"
    size = number(settings, "head_dim", None if kind == "qwen3" else width // heads)
    if size * heads != width:
        raise InputError(
            f"config.json: head_dim {size} is not supported: {heads} heads of it are not the "
            f"hidden_size {width}"
        )
    if kind == "qwen3":
        insist(settings, {"use_sliding_window": [False], "attention_bias": [False]})
        insist({"rms_norm_eps": epsilon}, {"rms_norm_eps": [_QUERY_KEY_EPSILON]})
    window = settings.get("sliding_window", 4096) if kind == "mistral" else None
    changes = {
        "rotary_base": _rotary_base(settings),
        "norm": epsilon_norm(RMSNorm, epsilon),
        "activation": activation(settings, "hidden_act", "silu"),
        "bias": old and any(_biases(settings)),
        "tied": switch(settings, "tie_word_embeddings", False),
        "query_key_norm": kind == "qwen3",
        "window": None if window is None else number({"sliding_window": window}, "sliding_window"),
    }
    return Architecture(
        number(settings, "vocab_size"),
        context=number(settings, "max_position_embeddings"),
        layers=number(settings, "num_hidden_layers"),
        heads=heads,
        num_kv_heads=number(settings, "num_key_value_heads", heads if old else None),
        width=width,
        hidden=number(settings, "intermediate_size"),
        **{**LLAMA_BLOCKS, **changes},
    )


def _biases(settings: Settings) -> tuple[bool, bool]:
    """Whether attention's and feed-forward's linear layers have them."""
    return switch(settings, "attention_bias", False), switch(settings, "mlp_bias", False)


def _rotary_base(settings: Settings) -> float:
    """rope_theta, which transformers 5 writes into rope_parameters, and older ones next to it.

    Raises:
      InputError: positions are scaled; the message names the kind.
    """
    base = real(settings, "rope_theta", _BASE)
    for key in ("rope_scaling", "rope_parameters"):
        rope = {} if settings.get(key) is None else settings[key]
        if not isinstance(rope, dict):
            raise InputError(f"config.json: {key} must be an object, got {shown(rope)}")
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise InputError(f"config.json: {key} of type {shown(kind)} is not supported")
        insist(rope, {"partial_rotary_factor": [1, None]})
        base = real(rope, "rope_theta", base)
    return base


def _kind_of(architecture: Architecture) -> str:
    """Which of the three an architecture is.

    Raises:
      InputError: it combines what none of them does.
    """
    if architecture.query_key_norm:
        insist_on_options(architecture, {"window": None, "bias": False}, "qwen3")
        return "qwen3"
    if architecture.window is not None:
        insist_on_options(architecture, {"bias": False}, "mistral")
        return "mistral"
    return "llama"


def _settings(architecture: Architecture) -> dict[str, Any]:
    """The config.json of an architecture.

    Raises:
      InputError: it is not Llama's; the message names the option.
    """
    c, norm = architecture, architecture.norm()
    if not isinstance(norm, RMSNorm):
        raise InputError(f"option norm={type(norm).__name__} has no counterpart in llama")
    insist_on_options(c, _FIXED, "llama")
    kind = _kind_of(c)
    if kind == "qwen3" and norm.epsilon != _QUERY_KEY_EPSILON:
        raise InputError(f"option norm has ε {norm.epsilon}; in qwen3 it is that of queries too")
    own: dict[str, dict[str, Any]] = {
        "llama": {"attention_bias": c.bias, "mlp_bias": c.bias},
        "mistral": {"sliding_window": c.window},
        "qwen3": {"attention_bias": False, "use_sliding_window": False, "sliding_window": None},
    }
    return {
        "model_type": kind,
        "architectures": [f"{_CLASSES[kind]}ForCausalLM"],
        "vocab_size": c.vocabulary_size,
        "max_position_embeddings": c.context,
        "hidden_size": c.width,
        "head_dim": c.head_size,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "intermediate_size": c.hidden_size,
        "hidden_act": name_of(c.activation),
        "rms_norm_eps": norm.epsilon,
        # Where transformers 4 looks, and where 5 does.
        "rope_theta": c.rotary_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": c.rotary_base},
        "tie_word_embeddings": c.tied,
        **own[kind],
    }


def _matches(architecture: Architecture, settings: Settings) -> list[Match]:
    """Which array is which. Biases that exist only in some layers are 0 in our others."""
    c = architecture
    of_attention, of_feed_forward = _biases(settings)
    widths = (c.width, c.kv_heads * c.head_size, c.kv_heads * c.head_size)
    found = [Match("embedding/embedding", ("embed_tokens.weight",))]
    for i in range(c.layers):
        ours, theirs = f"decoder/block_{i}", f"layers.{i}"
        found.append(_norm(f"{ours}/attention_norm", f"{theirs}.input_layernorm"))
        found.append(_norm(f"{ours}/feed_forward_norm", f"{theirs}.post_attention_layernorm"))
        if c.query_key_norm:
            found.append(_norm(f"{ours}/attention/query_norm", f"{theirs}.self_attn.q_norm"))
            found.append(_norm(f"{ours}/attention/key_norm", f"{theirs}.self_attn.k_norm"))
        parts = tuple(f"{theirs}.self_attn.{part}_proj" for part in "qkv")
        out = (f"{theirs}.self_attn.o_proj",)
        found += _linear(f"{ours}/attention/qkv", parts, c.bias, of_attention, widths)
        found += _linear(f"{ours}/attention/out", out, c.bias, of_attention)
        for name, part in (("in", "gate"), ("gate", "up"), ("out", "down")):
            layer = (f"{theirs}.mlp.{part}_proj",)
            found += _linear(f"{ours}/feed_forward/{name}", layer, c.bias, of_feed_forward)
    found.append(_norm("decoder/norm", "norm"))
    if not c.tied:
        found += _linear("output", ("lm_head",), c.bias, False)
    return found


def _linear(
    ours: str,
    theirs: tuple[str, ...],
    biased: bool,
    biased_there: bool,
    widths: tuple[int, ...] = (),
) -> list[Match]:
    kernels = tuple(f"{name}.weight" for name in theirs)
    found = [Match(f"{ours}/kernel", kernels, transposed=True, widths=widths)]
    if biased:
        biases = tuple(f"{name}.bias" for name in theirs) if biased_there else ()
        found.append(Match(f"{ours}/bias", biases, widths=widths))
    return found


def _norm(ours: str, theirs: str) -> Match:
    return Match(f"{ours}/scale", (f"{theirs}.weight",))


LLAMA, MISTRAL, QWEN3 = (
    Family(
        prefix="model.",
        layers_key="num_hidden_layers",
        # Old files carry it in each layer, and some of later versions once.
        ignored=r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",
        architecture=partial(_architecture, kind=kind),
        settings=_settings,
        matches=_matches,
    )
    for kind in _CLASSES
)
