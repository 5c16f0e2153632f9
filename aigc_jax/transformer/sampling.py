"""From logits to a token: what reshapes the distribution, and the draw.

Dimensions: B rows, V vocabulary. A token that is ruled out has the logit −∞. Tokens of equal logits
are kept or ruled out together, so that no filter depends on how a vocabulary is numbered; where
they tie at its edge, a filter keeps more than its number says.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the defaults draw from the model's own distribution.

    Attributes:
      temperature: τ ≥ 0, see `temper`; 0 takes the most probable token, whatever the filters.
      top_k: k ≥ 1, see `keep_top_k`; None rules out none.
      top_p: p in (0, 1], see `keep_top_p`; None rules out none.
      min_p: m in (0, 1], see `keep_min_p`; None rules out none.
      repetition_penalty: θ > 0, see `penalize_repetition`; 1 is none.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        """Refuses values that define no distribution.

        Raises:
          ValueError: names the field.
        """
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be finite and not negative, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {value}")
        if not 0 < self.repetition_penalty < math.inf:
            raise ValueError(
                f"repetition_penalty must be finite and positive, got {self.repetition_penalty}"
            )

    @property
    def penalizes(self) -> bool:
        """Whether the choice depends on which tokens a row has seen."""
        return self.repetition_penalty != 1


ANCESTRAL = Sampling()
"""The model's own distribution."""
GREEDY = Sampling(temperature=0.0)
"""The most probable token, always."""


def penalize_repetition(logits: jax.Array, seen: jax.Array, penalty: float) -> jax.Array:
    """Makes tokens that a row contains already less probable:  l / θ where l > 0, l θ elsewhere.

    Args:
      logits: l, `[..., V]`.
      seen: bool `[..., V]`, the tokens that this applies to.
      penalty: θ; below 1 it favours repetition.

    Returns:
      `[..., V]`.

    Source: CTRL, Keskar et al. 2019, https://arxiv.org/abs/1909.05858, section 4.1. The paper
    divides all logits, which would make tokens of negative ones more probable; popular
    implementations multiply those, as this does.
    """
    return jnp.where(seen, jnp.where(logits > 0, logits / penalty, logits * penalty), logits)


def temper(logits: jax.Array, temperature: float) -> jax.Array:
    """l / τ: small values approach the most probable token, large ones the uniform distribution."""
    return logits / temperature


def keep_top_k(logits: jax.Array, k: int) -> jax.Array:
    """Keeps the k most probable tokens, and those that tie with the last of them.

    Args:
      logits: `[..., V]`.
      k: at least 1; V or more keeps all.

    Returns:
      `[..., V]`. Source: Fan et al. 2018, https://arxiv.org/abs/1805.04833, section 5.
    """
    largest, _ = jax.lax.top_k(logits, min(k, logits.shape[-1]))
    # As a minimum, since XLA sorts the whole vocabulary for a slice: 75 times as long on a CPU.
    return jnp.where(logits >= jnp.min(largest, axis=-1, keepdims=True), logits, -jnp.inf)


def keep_top_p(logits: jax.Array, p: float) -> jax.Array:
    """Keeps the nucleus, the fewest most probable tokens whose probabilities reach p.

        v is kept where  Σ_u P(u) [P(u) > P(v)] < p

    so the token that crosses p is in it, and p → 0 leaves the most probable token.

    The probability t of the least probable token that is kept is the largest number for which
    Σ_u P(u) [P(u) ≥ t] ≥ p. It is found bit by bit, from the highest, which takes one pass over the
    vocabulary for each: on a CPU, a small part of the time of a sort.

    Args:
      logits: `[..., V]`.
      p: in (0, 1].

    Returns:
      `[..., V]`. Source: Holtzman et al. 2020, https://arxiv.org/abs/1904.09751, section 3.1.
    """
    if p >= 1:
        return logits  # rounded, the sum could reach 1 before the last token
    p = max(p, float(jnp.finfo(jnp.float32).tiny))
    probabilities = jax.nn.softmax(logits, axis=-1)
    # Numbers that are not negative are ordered as their bits are, read as integers.
    bits = jax.lax.bitcast_convert_type(probabilities, jnp.int32)

    def refine(i: jax.Array, least: jax.Array) -> jax.Array:
        raised = least | (1 << (29 - i))  # 1.0 has no bit above the 29th
        mass = jnp.sum(jnp.where(bits >= raised, probabilities, 0), axis=-1, keepdims=True)
        return jnp.where(mass >= p, raised, least)

    least = jax.lax.fori_loop(0, 30, refine, jnp.zeros_like(bits[..., :1]))
    return jnp.where(bits >= least, logits, -jnp.inf)


def keep_min_p(logits: jax.Array, p: float) -> jax.Array:
    """Keeps tokens at least p times as probable as the most probable:  l ≥ max l + log p.

    Args:
      logits: l, `[..., V]`.
      p: in (0, 1].

    Returns:
      `[..., V]`. Source: Nguyen et al. 2024, https://arxiv.org/abs/2407.01082, section 3.
    """
    least = jnp.max(logits, axis=-1, keepdims=True) + math.log(p)
    return jnp.where(logits >= least, logits, -jnp.inf)


def adjust(logits: jax.Array, seen: jax.Array | None, sampling: Sampling) -> jax.Array:
    """The logits that tokens are drawn from.

    In this order, each on what the one before leaves: repetition penalty, temperature, top-k,
    top-p, min-p. Probabilities are renormalised for each, so that top-p is a share of what
    top-k has kept. The order is that of Hugging Face's `generate`. A temperature of 0 leaves only
    the greatest logits.

    Args:
      logits: `[..., V]` of any float dtype.
      seen: bool `[..., V]`, see `penalize_repetition`; may be None without a penalty.
      sampling: see `Sampling`.

    Returns:
      float32 `[..., V]`.

    Raises:
      ValueError: there is a penalty, and `seen` is None.
    """
    logits = jnp.float32(logits)
    if sampling.penalizes:
        if seen is None:
            raise ValueError("a repetition_penalty needs to know the tokens seen")
        logits = penalize_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return keep_top_k(logits, 1)
    logits = temper(logits, sampling.temperature)
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def choose(logits: jax.Array, seen: jax.Array | None, keys: Keys, sampling: Sampling) -> jax.Array:
    """x_b ~ softmax(adjust(l_b)); at temperature 0 the greatest, the first of equals.

    Args:
      logits: l, `[B, V]`.
      seen: bool `[B, V]`, see `adjust`.
      keys: `[B]`, one for each row, on which alone its randomness depends.
      sampling: see `Sampling`.

    Returns:
      int32 `[B]`.
    """
    logits = adjust(logits, seen, sampling)
    if sampling.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)
