"""A loss balancer: each loss's share of the gradient is its weight's, whatever the loss's scale.

Dimensions: B batch, n losses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.density import sum_per_example, wide
from aigc_jax.errors import InputError

_EPSILON = 1e-12  # as in EnCodec


class Balance(NamedTuple):
    """Running averages of the norms of n gradients, as Σ_t γ^{T−t} ‖·‖_t and their weights."""

    norms: jax.Array  # float32 [n]
    total: jax.Array  # float32 [n], Σ_t γ^{T−t} over the steps at which the norm was not 0


def init(n: int) -> Balance:
    """Of n losses, before the first step."""
    return Balance(jnp.zeros(n, jnp.float32), jnp.zeros(n, jnp.float32))


def balance(
    state: Balance,
    gradients: Sequence[jax.Array],
    weights: Sequence[float] | jax.Array,
    decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[jax.Array, Balance]:
    """The gradients of n losses with respect to one output x̂, each divided by its usual norm.

        combined = Σ_i w_i / Σ_j w_j · g_i / (n̂_i + ε),   ε = 1e-12
        n̂_i = Σ_t γ^{T−t} ν_it / Σ_t γ^{T−t},   ν_it = mean_b ‖g_ib‖ at step t

    So n̂ is an exponential average without a bias towards its beginning: at the first step it is ν.
    A step at which a gradient is 0 throughout, ν_it = 0, is none for its average. Otherwise a loss
    that begins after a thousand steps would begin with 600 times its share.

    The rest of the gradient follows by one vector-Jacobian product, `vjp(combined / N)` for a mean
    over the N examples of all devices. Losses that do not depend on x̂ alone, such as a commitment,
    are added outside.

    Args:
      state: see `Balance`.
      gradients: g_i, n of `[B, ...]`: row b is ∂l_ib/∂x̂_b of losses l_i `[B]`, so the gradient of
        Σ_b l_ib where examples do not depend on each other. Those of a mean would do as well: the
        scale of a loss makes no difference.
      weights: w_i ≥ 0, n numbers. 0 takes a loss out; all 0 give 0.
      decay: γ.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      combined, `[B, ...]` in the type of the gradients, its rows' mean norm about 1 at most; and
      the next state, the same on all devices.

    Raises:
      InputError: gradients, weights and state are not of one number of losses, or the gradients
        are not of one shape.

    Source: Défossez et al. 2022, https://arxiv.org/abs/2210.13438, section 3.4, with R = 1, γ =
    0.999. Theirs counts gradients of 0 too.
    """
    w = jnp.asarray(weights, jnp.float32)
    if not len(gradients) == len(state.norms) == w.size:
        raise InputError(
            f"{len(gradients)} gradients, {w.size} weights and a state of {len(state.norms)} "
            "losses; give one of each for each loss"
        )
    shapes = sorted({g.shape for g in gradients})
    if len(shapes) > 1:
        raise InputError(f"gradients of shapes {shapes}; take all with respect to one output")
    norms = jnp.stack([jnp.sum(jnp.sqrt(sum_per_example(jnp.square(wide(g))))) for g in gradients])
    examples = parallel.psum(len(gradients[0]), axis_name)
    norms = (parallel.psum(norms, axis_name) / examples).astype(state.norms.dtype)
    found = Balance(decay * state.norms + norms, decay * state.total + 1.0)
    state = jax.tree.map(lambda new, old: jnp.where(norms > 0, new, old), found, state)
    average = state.norms / jnp.maximum(state.total, 1.0)
    whole = jnp.sum(w)
    scales = w / jnp.where(whole > 0, whole, 1.0) / (average + _EPSILON)
    scaled = [scales[i] * wide(g) for i, g in enumerate(gradients)]
    combined = sum(scaled[1:], start=scaled[0])
    return combined.astype(jnp.result_type(*gradients)), state
