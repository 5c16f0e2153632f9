"""Optimisers and schedules, as compositions of optax, and the state of one network in training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax.algorithm import Key, Params
from aigc_jax.muon import muon as muon  # as optim.muon, beside optim.adam


def is_matrix(params: Any) -> Any:
    """The weight-decay mask: True for leaves of two or more dimensions, not norms and biases."""
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def is_kernel(params: Any) -> Any:
    """The weight-decay mask of a Transformer: True for linear layers' matrices, by their name.

    Not for embeddings, and not for norms and biases, which have two dimensions too where blocks are
    stacked.
    """
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    weight_decay: float = 0.0,
    mask: Callable[[Params], Any] = is_matrix,
) -> optax.GradientTransformation:
    """Adam, with ε = 1e-8; AdamW on the leaves of `mask` where `weight_decay` is above 0.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; Loshchilov and Hutter 2019,
    https://arxiv.org/abs/1711.05101.
    """
    if weight_decay == 0.0:
        return optax.adam(learning_rate, b1=b1, b2=b2)
    return optax.adamw(learning_rate, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)


def cosine(
    peak: float, steps: int | None, final_fraction: float, warmup_steps: int = 0
) -> optax.ScalarOrSchedule:
    """`warmup_cosine`, or only half a cosine without a warm-up; without steps, `peak`.

    Args:
      peak: the rate at the beginning, or after the warm-up.
      steps: when the rate has come down; None keeps it at `peak`, without a warm-up.
      final_fraction: of `peak`, what it comes down to.
      warmup_steps: of the linear rise from 0.
    """
    if steps is None:
        return peak
    if not warmup_steps:
        return optax.cosine_decay_schedule(peak, steps, final_fraction)
    return warmup_cosine(peak, warmup_steps, steps, final_fraction)


def warmup_cosine(
    peak: float, warmup_steps: int, decay_steps: int, final_fraction: float = 0.1
) -> optax.Schedule:
    """Linear from 0 to `peak`, then a half cosine down to `final_fraction`·`peak` at `decay_steps`.

    A run shorter than the warm-up warms up over half of its steps.
    """
    warmup_steps = min(warmup_steps, decay_steps // 2)
    return optax.warmup_cosine_decay_schedule(
        0.0, peak, warmup_steps, decay_steps, final_fraction * peak
    )


def warmup_stable_decay(
    peak: float, warmup_steps: int, decay_steps: int, decay_share: float = 0.2
) -> optax.Schedule:
    """Linear from 0 to `peak`, level, then linear to 0 over the last `decay_share` of the steps.

    A run shorter than five warm-ups warms up over a fifth of its steps.

    Args:
      peak: the rate in the middle.
      warmup_steps: of the rise.
      decay_steps: when the rate is 0 again.
      decay_share: of all steps, over which it falls.

    Source: Hu et al. 2024, https://arxiv.org/abs/2404.06395.
    """
    warmup_steps = min(warmup_steps, decay_steps // 5)
    fall = int(decay_share * decay_steps)
    parts = [
        optax.linear_schedule(0.0, peak, warmup_steps),
        optax.constant_schedule(peak),
        optax.linear_schedule(peak, 0.0, fall),
    ]
    return optax.join_schedules(parts, [warmup_steps, decay_steps - fall])


def constant(peak: float, warmup_steps: int, decay_steps: int) -> optax.ScalarOrSchedule:
    """`peak` throughout, without a warm-up: a schedule for runs that may go on for ever."""
    return peak


def clipped(
    tx: optax.GradientTransformation, clip_norm: float = 1.0
) -> optax.GradientTransformation:
    """`tx` on gradients clipped to a global norm.

    The clipping must see gradients that are already reduced over devices, which the steps of this
    package ensure.
    """
    return optax.chain(optax.clip_by_global_norm(clip_norm), tx)


def update_ema(ema: Params, params: Params, step: jax.Array, decay: float) -> Params:
    """θ̄ ← β_t θ̄ + (1 − β_t) θ,   β_t = min(β, (1 + t) / (10 + t)).

    The ramp lets the average forget its random beginning: with β alone it would still hold e⁻¹ of
    it after 1 / (1 − β) steps.

    Args:
      ema: θ̄, the average so far.
      params: θ, the newest parameters.
      step: t, int [], the number of updates before this one.
      decay: β in [0, 1); 0 keeps no average.
    """
    t = jnp.float32(step)
    ramp = (1.0 + t) / (10.0 + t)
    return optax.incremental_update(params, ema, 1.0 - jnp.minimum(decay, ramp))


def ema_decay_by_images(
    step: jax.Array, images: jax.Array | int, half_life: float, ramp: float = 0.05
) -> jax.Array:
    """β_t = ½^(n / min(h, ρ n t)): a moving average whose memory is counted in images.

    What the average holds of a weight is halved every h images, whatever the batch size. While
    fewer than h / ρ images have been seen, h is a share ρ of those seen, so that the average
    forgets its random beginning. With h = 0, or t = 0, β = 0: no average is kept.

    Args:
      step: t, int [], the number of updates before this one.
      images: n, real images in an update.
      half_life: h, in images.
      ramp: ρ.

    Source: Karras et al. 2020, https://arxiv.org/abs/2006.06676, and their code.
    """
    memory = jnp.minimum(half_life, ramp * images * jnp.float32(step))
    return jnp.where(memory > 0, 0.5 ** (images / jnp.maximum(memory, 1e-8)), 0.0)


class State(NamedTuple):
    """One network in training: all that changes, and the key it began with."""

    step: jax.Array  # int32 [], the number of updates done
    key: Key
    params: Params
    opt_state: optax.OptState
    ema: Params | None = None  # exponential moving average of params, where one is kept

    @property
    def eval_params(self) -> Params:
        """The parameters to evaluate and sample with: the average, or the newest without one."""
        return self.params if self.ema is None else self.ema


def init(
    key: Key,
    init_params: Callable[[Key], Params],
    tx: optax.GradientTransformation,
    averaged: bool = True,
) -> State:
    """The state before the first update; an average starts at the initial parameters.

    Args:
      key: decides parameters and training.
      init_params: `(key) -> params`.
      tx: the optimiser.
      averaged: whether an average is kept.
    """
    key_init, key_steps = jax.random.split(key)
    params = init_params(key_init)
    # A copy, since donated buffers must be distinct.
    ema = jax.tree.map(jnp.copy, params) if averaged else None
    return State(jnp.int32(0), key_steps, params, tx.init(params), ema)


def update(
    state: State, grads: Params, tx: optax.GradientTransformation, ema_decay: float
) -> State:
    """θ ← θ + tx(∇),  θ̄ as `update_ema` has it.

    Args:
      state: see `State`.
      grads: ∇, of the whole batch on all devices.
      tx: the optimiser.
      ema_decay: of the averaged parameters, per step, where the state has them; with 0 they are
        the newest.
    """
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema is not None:
        ema = update_ema(ema, params, state.step, ema_decay)
    return State(state.step + 1, state.key, params, opt_state, ema)
