"""What a prior is told: classes as tokens before those of the codes, and guidance by them.

A sequence is [a₁, …, a_A, codes]: the value of each attribute, such as a digit and a speaker, then
the codes. Each attribute has a null value for what is unknown; without attributes there is one
place that always holds a null.

Dimensions: B rows, A places of conditions, L places of codes, V vocabulary.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Keys, Params
from aigc_jax.errors import InputError
from aigc_jax.labels import as_array, check_choices
from aigc_jax.transformer import Batch, Networks
from aigc_jax.transformer.generation import Extend


class Conditions(NamedTuple):
    """The tokens of conditions, which follow those of the codes.

    Attributes:
      sizes: how many values each attribute has.
      offset: the token of the first attribute's first value.
    """

    sizes: tuple[int, ...]
    offset: int

    @property
    def places(self) -> int:
        """A: one for each attribute, and at least one."""
        return max(len(self.sizes), 1)

    @property
    def firsts(self) -> np.ndarray:
        """The token of each place's first value, int32 `[A]`."""
        sizes = self.sizes or (0,)
        return self.offset + np.cumsum([0, *(size + 1 for size in sizes[:-1])], dtype=np.int32)

    @property
    def nulls(self) -> np.ndarray:
        """The null token of each place, int32 `[A]`: the one after its values."""
        return self.firsts + np.asarray(self.sizes or (0,), np.int32)

    @property
    def end(self) -> int:
        """One more than the last token: V."""
        return int(self.nulls[-1]) + 1

    def tokens(self, labels: Any, rows: int) -> jax.Array:
        """Values int `[B, A]`, or None for unknown ones → tokens int32 `[B, A]`.

        A value of −1 is unknown.

        Raises:
          InputError: labels of another shape, or of no such value.
        """
        nulls = jnp.broadcast_to(jnp.asarray(self.nulls), (rows, self.places))
        if labels is None:
            return nulls
        if not self.sizes:
            raise InputError("labels are for a prior that is told classes, and this one is not")
        labels, wanted = as_array("labels", labels), (rows, len(self.sizes))
        if labels.shape != wanted:
            raise InputError(f"labels must be of shape {wanted}, got {labels.shape}")
        known = labels != -1
        values = labels * known
        for i, size in enumerate(self.sizes):
            check_choices(f"labels[:, {i}]", values[:, i], size)
        firsts = jnp.broadcast_to(jnp.asarray(self.firsts), wanted)
        return jnp.where(known, firsts + jnp.asarray(values, jnp.int32), nulls)


def drop(conditions: Conditions, tokens: jax.Array, keys: Keys, rate: float) -> jax.Array:
    """All of an example's conditions replaced by nulls with probability p: `[B, A]` → `[B, A]`.

    So that one network learns the distribution with and without them, which guidance needs.

    Args:
      conditions: which tokens there are.
      tokens: int `[B, A]`.
      keys: `[B]`.
      rate: p.

    Source: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598, algorithm 1.
    """
    if not rate:
        return tokens
    nulls = jnp.broadcast_to(jnp.asarray(conditions.nulls), tokens.shape)
    return jnp.where(jnp.broadcast_to(dropped(keys, rate)[:, None], tokens.shape), nulls, tokens)


def dropped(keys: Keys, rate: float) -> jax.Array:
    """Whether an example is told nothing, with probability p: bool `[B]`."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, jnp.float32(rate)))(keys)


def unconditional(conditions: Conditions, tokens: jax.Array, positions: jax.Array) -> jax.Array:
    """Tokens `[B, T]` at `positions`, with a null at each place of a condition."""
    nulls = jnp.asarray(conditions.nulls)
    null = nulls[jnp.clip(positions, 0, conditions.places - 1)]
    return jnp.where(positions < conditions.places, null, tokens)


def guided(extend: Extend, conditions: Conditions, weight: float) -> Extend:
    """Classifier-free guidance over doubled rows:  l_∅ + w (l_y − l_∅).

    The cache has 2B rows: those of the condition, then those without it, which read the same codes.
    With w = 1 it is `extend` itself, of B rows.

    Args:
      extend: the network, of 2B rows.
      conditions: which tokens are conditions.
      weight: w; above 1 the condition counts for more than the model says.

    Source: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598, whose w is ours less 1; for
    tokens, Gafni et al. 2022, https://arxiv.org/abs/2203.13131, section 3.5.
    """
    if weight == 1:
        return extend

    def both(cache: Any, tokens: jax.Array, positions: jax.Array) -> tuple[jax.Array, Any]:
        without = unconditional(conditions, tokens, positions)
        read = jnp.concatenate([tokens, without]), jnp.concatenate([positions, positions])
        logits, cache = extend(cache, *read)
        told, untold = jnp.split(logits, 2)
        return untold + weight * (told - untold), cache

    return both


def within(extend: Extend, first: jax.Array, choices: jax.Array) -> Extend:
    """Rules out the tokens that cannot stand at a place: all but first … first + choices − 1.

    Args:
      extend: the network.
      first, choices: int `[B, L]`, for each place of the sequence; with 1 choice a token is given.
    """
    length = first.shape[1]

    def ruled(cache: Any, tokens: jax.Array, positions: jax.Array) -> tuple[jax.Array, Any]:
        logits, cache = extend(cache, tokens, positions)
        following = jnp.clip(positions + 1, 0, length - 1)
        low = jnp.take_along_axis(first, following, axis=1)[..., None]
        high = low + jnp.take_along_axis(choices, following, axis=1)[..., None]
        ids = jnp.arange(logits.shape[-1])[None, None]
        return jnp.where((ids >= low) & (ids < high), logits, -jnp.inf), cache

    return ruled


def by_place(
    networks: Networks, first: np.ndarray, stages: int, codes: int, *, ahead: bool
) -> Networks:
    """The networks in codes: at each place they read, and give logits of, its own K tokens alone.

    The model is thus normalised over what can stand at a place, which is what `within` draws from,
    and label smoothing is spread over that. Ids from K on, such as conditions, are read as they
    are.

    Args:
      networks: of tokens, of which the first N K are codes. Where they have `own_logits` and there
        is a sequence for each stage, those are taken, at places of padding too.
      first: int `[R, T]`, the token of a place's code 0; rows of a batch are R by R.
      stages: N.
      codes: K.
      ahead: whether a place's logits are for the place after it, as from the left.
    """

    def at_places(array: np.ndarray, shape: tuple[int, ...]) -> jax.Array:
        return jnp.tile(jnp.asarray(array[:, : shape[1]], jnp.int32), (shape[0] // len(array), 1))

    def hidden(params: Params, batch: Batch, keys: Keys | None = None) -> jax.Array:
        read, shape = batch.inputs, batch.inputs.shape
        read = jnp.where(read < codes, read + at_places(first, shape), read)
        states = networks.hidden(params, batch._replace(inputs=read), keys)
        # Beside the state, so that logits need not know where a state is from.
        stage = at_places((first[:, 1:] if ahead else first) // codes, shape)
        return jnp.concatenate([states, stage[..., None].astype(states.dtype)], axis=-1)

    def logits(params: Params, states: jax.Array) -> jax.Array:
        if networks.own_logits is not None and len(first) == stages:  # a sequence for each stage
            return networks.own_logits(params, states[..., :-1], codes)
        found = networks.logits(params, states[..., :-1])[..., : stages * codes]
        found = found.reshape(*found.shape[:-1], stages, codes)
        stage = states[..., -1].astype(jnp.int32)
        own = jax.nn.one_hot(stage, stages, dtype=bool)[..., None]
        return jnp.sum(jnp.where(own, found, 0), axis=-2)

    return networks._replace(hidden=hidden, logits=logits)


def check_guidance(weight: float, told: bool) -> None:
    """Refuses guidance that has nothing to guide by.

    Args:
      weight: w.
      told: whether the prior is told anything.

    Raises:
      InputError: says why.
    """
    if not 0 <= weight < float("inf"):
        raise InputError(f"guidance must be at least 0 and finite, got {weight}")
    if weight != 1 and not told:
        raise InputError("guidance is for a prior that is told something, and this one is not")
