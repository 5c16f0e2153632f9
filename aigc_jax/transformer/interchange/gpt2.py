"""GPT-2 in the names of Hugging Face's `transformers`, and in those of our blocks.

Its matrices are stored as ours are, [inputs, outputs], with queries, keys and values in one.

Source: modeling_gpt2.py and configuration_gpt2.py of transformers 5.24.
"""

from dataclasses import replace
from typing import Any

from aigc_jax.errors import InputError
from aigc_jax.layers import LayerNorm
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
    switch,
)

_FIXED: dict[str, Any] = {
    "encoder_layers": 0,
    "positions": Positions.LEARNED,
    "post_norm": False,
    "gated": False,
    "query_key_norm": False,
    "window": None,
    "score_cap": None,
    "logit_cap": None,
    "scaled_embedding": False,
}


def _architecture(settings: Settings) -> Architecture:
    """What config.json describes.

    Raises:
      InputError: it is not what our blocks compute.
    """
    # reorder_and_upcast_attn is for half precision: in float32 it changes the order of a product.
    insist(
        settings,
        {
            "scale_attn_weights": [True],
            "scale_attn_by_inverse_layer_idx": [False],
            "add_cross_attention": [False],
        },
    )
    width, heads = number(settings, "n_embd"), number(settings, "n_head")
    epsilon = real(settings, "layer_norm_epsilon", 1e-5)
    return Architecture(
        number(settings, "vocab_size"),
        context=number(settings, "n_positions"),
        layers=number(settings, "n_layer"),
        heads=heads,
        width=width,
        hidden=number(settings, "n_inner", 4 * width),
        norm=epsilon_norm(LayerNorm, epsilon),
        activation=activation(settings, "activation_function", "gelu_new"),
        tied=switch(settings, "tie_word_embeddings", True),
    )


def _settings(architecture: Architecture) -> dict[str, Any]:
    """The config.json of an architecture.

    Raises:
      InputError: it is not GPT-2's; the message names the option.
    """
    c, norm = architecture, architecture.norm()
    if not isinstance(norm, LayerNorm):
        raise InputError(f"option norm={type(norm).__name__} has no counterpart in gpt2")
    plain = replace(c, num_kv_heads=c.kv_heads)
    insist_on_options(plain, {**_FIXED, "num_kv_heads": c.heads}, "gpt2")
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": c.vocabulary_size,
        "n_positions": c.context,
        "n_embd": c.width,
        "n_layer": c.layers,
        "n_head": c.heads,
        "n_inner": c.hidden_size,
        "activation_function": name_of(c.activation),
        "layer_norm_epsilon": norm.epsilon,
        "tie_word_embeddings": c.tied,
        "resid_pdrop": c.dropout,
        "embd_pdrop": c.dropout,
        "attn_pdrop": c.dropout,
    }


def _matches(architecture: Architecture, _: Settings) -> list[Match]:
    """Which array is which. Our linear layers without biases are theirs with biases of 0."""
    found = [Match("embedding/embedding", ("wte.weight",)), Match("positions", ("wpe.weight",))]
    for i in range(architecture.layers):
        ours, theirs = f"decoder/block_{i}", f"h.{i}"
        found += _norm(f"{ours}/attention_norm", f"{theirs}.ln_1")
        found += _linear(f"{ours}/attention/qkv", f"{theirs}.attn.c_attn")
        found += _linear(f"{ours}/attention/out", f"{theirs}.attn.c_proj")
        found += _norm(f"{ours}/feed_forward_norm", f"{theirs}.ln_2")
        found += _linear(f"{ours}/feed_forward/in", f"{theirs}.mlp.c_fc")
        found += _linear(f"{ours}/feed_forward/out", f"{theirs}.mlp.c_proj")
    found += _norm("decoder/norm", "ln_f")
    if not architecture.tied:
        found.append(Match("output/kernel", ("lm_head.weight",), transposed=True))
        found.append(Match("output/bias", ()))
    return found


def _linear(ours: str, theirs: str) -> list[Match]:
    kernel, bias = (f"{theirs}.weight",), (f"{theirs}.bias",)
    return [Match(f"{ours}/kernel", kernel), Match(f"{ours}/bias", bias)]


def _norm(ours: str, theirs: str) -> list[Match]:
    scale, bias = (f"{theirs}.weight",), (f"{theirs}.bias",)
    return [Match(f"{ours}/scale", scale), Match(f"{ours}/bias", bias)]


GPT2 = Family(
    prefix="transformer.",
    layers_key="n_layer",
    ignored=r"h\.\d+\.attn\.(masked_)?bias",  # the causal mask, which old files carry
    architecture=_architecture,
    settings=_settings,
    matches=_matches,
)
