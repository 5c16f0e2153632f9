"""Residual quantisation: each stage codes what the stages before it left.

Dimensions: B batch, G the grid's sides, D features, K codes, N stages.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from aigc_jax.algorithm import Key
from aigc_jax.errors import InputError
from aigc_jax.vq.model import Quantised, Quantiser, straight_through


class ResidualQuantiser(NamedTuple):
    """N quantisers one after another, as pure functions.

    Attributes:
      init: `(key) -> states`, one of each stage.
      quantise: `(states, features [B, *G, D], used int [B] or None) -> Quantised`, whose codes are
        `[B, *G, N]`. Of each example the first `used` stages add up to its vectors, and commit it;
        None: all.
      look_up: `(states, codes int [..., n]) -> vectors [..., D]`, of the first n ≤ N stages.
      update: `(states, features, codes, key, axis_name) -> (states, revived)`.
      codes: K of each stage.
      features: D.
      stages: N.
    """

    init: Callable[[Key], tuple[Any, ...]]
    quantise: Callable[..., Quantised]
    look_up: Callable[[tuple[Any, ...], jax.Array], jax.Array]
    update: Callable[..., tuple[tuple[Any, ...], jax.Array]]
    codes: int
    features: int
    stages: int


def residual_quantiser(stage: Quantiser, stages: int = 1) -> ResidualQuantiser:
    """r₀ = f;  q_i = stage_i(r_{i−1});  r_i = r_{i−1} − sg(q_i);  z = Σ_i q_i, ∂z/∂f := 1.

    The straight-through estimator is put around the sum once, and each stage commits what it was
    given: Σ_i ‖r_{i−1} − sg(q_i)‖². With one stage this is the stage itself, with one more axis of
    its codes.

    Args:
      stage: of which each has a state of its own.
      stages: N.

    Raises:
      InputError: no stage; or several of a kind whose features cannot stray, such as FSQ, whose
        grid is too coarse for what it leaves.

    Source: Zeghidour et al. 2021 (SoundStream), https://arxiv.org/abs/2107.03312, algorithm 1;
    codebooks by averages as in vq/codebook.py.
    """
    if stages < 1:
        raise InputError(f"a residual quantiser has at least 1 stage, got {stages}")
    if stages > 1 and not jax.tree.leaves(jax.eval_shape(stage.init, jax.random.key(0))):
        raise InputError(
            f"{stages} stages are for a learned codebook: those of a fixed grid would all be alike"
        )

    def residuals(states: tuple[Any, ...], features: jax.Array, codes: jax.Array) -> list:
        """r₀ … r_{N−1}, through codes that are known."""
        found = [features]
        for i, state in enumerate(states[:-1]):
            found.append(found[-1] - lax.stop_gradient(stage.look_up(state, codes[..., i])))
        return found

    def quantise(
        states: tuple[Any, ...], features: jax.Array, used: jax.Array | None = None
    ) -> Quantised:
        left, total = features, jnp.zeros_like(features)
        codes, commitment = [], jnp.zeros(len(features), jnp.float32)
        for i, state in enumerate(states):
            found = stage.quantise(state, left)
            vectors = lax.stop_gradient(found.vectors) if stages > 1 else found.vectors
            counts = jnp.ones(len(features), bool) if used is None else i < used
            total += jnp.where(_beside(counts, vectors), vectors, 0.0)
            commitment += jnp.where(counts, found.commitment, 0.0)
            codes.append(found.codes)
            left = left - lax.stop_gradient(vectors)
        # FSQ's own gradient is that of its bound.
        vectors = total if stages == 1 else straight_through(total, features)
        return Quantised(vectors, jnp.stack(codes, axis=-1), commitment)

    def look_up(states: tuple[Any, ...], codes: jax.Array) -> jax.Array:
        parts = [stage.look_up(states[i], codes[..., i]) for i in range(codes.shape[-1])]
        return sum(parts[1:], start=parts[0])

    def update(
        states: tuple[Any, ...],
        features: jax.Array,
        codes: jax.Array,
        key: Key,
        axis_name: str | None = None,
    ) -> tuple[tuple[Any, ...], jax.Array]:
        inputs, found, revived = residuals(states, features, codes), [], jnp.float32(0)
        for i, state in enumerate(states):
            own = jax.random.fold_in(key, i)
            new, count = stage.update(state, inputs[i], codes[..., i], own, axis_name)
            found.append(new)
            revived += count
        return tuple(found), revived

    return ResidualQuantiser(
        init=lambda key: tuple(stage.init(own) for own in jax.random.split(key, stages)),
        quantise=quantise,
        look_up=look_up,
        update=update,
        codes=stage.codes,
        features=stage.features,
        stages=stages,
    )


def stages_used(keys: jax.Array, stages: int, dropout: float) -> jax.Array:
    """How many stages each example uses: N, or with probability p one of 1 … N: `[B]` → int `[B]`.

    So that fewer stages give a coarser signal in place of none.

    Args:
      keys: `[B]`.
      stages: N.
      dropout: p.

    Source: Kumar et al. 2023 (DAC), https://arxiv.org/abs/2306.06546, section 3.2, p = ½.
    """

    def draw(key: Key) -> jax.Array:
        key_which, key_count = jax.random.split(key)
        fewer = jax.random.bernoulli(key_which, jnp.float32(dropout))
        return jnp.where(fewer, jax.random.randint(key_count, (), 1, stages + 1, jnp.int32), stages)

    return jax.vmap(draw)(keys)


def _beside(flags: jax.Array, of: jax.Array) -> jax.Array:
    """bool `[B]` → the shape of `[B, …]`."""
    return jnp.broadcast_to(flags.reshape(-1, *[1] * (of.ndim - 1)), of.shape)
