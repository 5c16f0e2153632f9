"""The prior over codes: a Transformer that learns them, from the left or in any order.

The codec is frozen in the prior's state, so that a prior's samples never depend on a codec that has
trained on, and a run of it holds all that generates. How codes are drawn from it is in
`codec.writing`.

Dimensions: B rows, A places of conditions, L of codes, T = A + L, R sequences side by side, G the
grid's sides, N stages.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aigc_jax import optim, parallel, transformer
from aigc_jax.algorithm import Key, Params
from aigc_jax.codec import captions
from aigc_jax.codec.captions import Captions, of_each
from aigc_jax.codec.conditions import Conditions, by_place, drop
from aigc_jax.codec.layouts import Layout
from aigc_jax.codec.model import Coder
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer import Networks, Objective, Source
from aigc_jax.transformer.masked import masked_step, nelbo
from aigc_jax.transformer.masking import MaskedBatch, Schedule
from aigc_jax.transformer.model import PLAIN

_LABELS = 2**32 - 2  # no example's number, and not that of `masked_step`


class Codes(NamedTuple):
    """What a prior is trained on."""

    codes: jax.Array  # int [B, *G, N]
    labels: jax.Array | None = None  # int [B, A]; None: unknown
    captions: Source | None = None  # of B rows, see `Captions.source`; None: unknown


class State(NamedTuple):
    """A Transformer in training, and the codec whose codes it learns."""

    trained: optim.State
    coder: Coder  # frozen

    @property
    def step(self) -> jax.Array:
        """int32 [], the number of updates done."""
        return self.trained.step

    @property
    def params(self) -> Params:
        """The newest, of the Transformer."""
        return self.trained.params

    @property
    def eval_params(self) -> Params:
        """Of the Transformer: the average, where one is kept."""
        return self.trained.eval_params


class Sequences(NamedTuple):
    """How codes and conditions become tokens."""

    layout: Layout
    conditions: Conditions
    captions: Captions

    @property
    def mask_id(self) -> int:
        """The token of a masked code: the one before the conditions."""
        return self.conditions.offset - 1

    @property
    def length(self) -> int:
        """T."""
        return self.conditions.places + self.layout.length

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self.captions.end

    @property
    def told(self) -> bool:
        """Whether there is anything to guide by: labels or captions."""
        return bool(self.conditions.sizes or self.captions.symbols)


def sequences(
    layout: Layout,
    sizes: tuple[int, ...] = (),
    caption_symbols: int = 0,
    caption_length: int = 0,
) -> Sequences:
    """Codes in an order, after conditions of which the attributes have these many values.

    Of captions, see `Captions`.
    """
    conditions = Conditions(tuple(sizes), layout.vocabulary_size + 1)
    return Sequences(layout, conditions, Captions(caption_symbols, caption_length, conditions.end))


def tokens_of(of: Sequences, codes: jax.Array, conditions: jax.Array) -> jax.Array:
    """Codes int `[B, *G, N]` after tokens of conditions `[B, A]`: int32 `[B R, T]`.

    The R sequences of an example are neighbouring rows.
    """
    rows = of.layout.tokens_of(codes)
    rows = rows.reshape(-1, rows.shape[-1])
    told = jnp.repeat(conditions, of.layout.sequences, axis=0)
    return jnp.concatenate([told, rows], axis=1)


def init(
    key: Key,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    coder: Coder,
    ema_decay: float,
) -> State:
    """The state before the first update."""
    return State(transformer.init(key, networks, tx, ema_decay), coder)


def step(
    state: State,
    batch: Codes,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    of: Sequences,
    schedule: Schedule | None = None,
    objective: Objective = PLAIN,
    label_dropout: float = 0.1,
    microbatches: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> tuple[State, transformer.Info]:
    """One step of the Transformer on codes; see `transformer.step` and `masked_step`.

    Args:
      state: see `State`.
      batch: codes, and the classes or captions of what they code.
      networks, tx: the Transformer and its optimiser.
      of: how codes become tokens.
      schedule: None for a prior that writes from the left; else what is masked, see `masking`.
      objective, microbatches, ema_decay, axis_name: see `transformer.step`.
      label_dropout: the share of examples whose conditions and captions are replaced by nulls.

    Returns:
      The new state, and `transformer.Info`, in nats per code.

    Raises:
      InputError: codes, labels or captions do not fit the prior, or the examples the microbatches.
    """
    check_codes(of, batch.codes)
    rows = len(batch.codes)
    if rows % microbatches:
        raise InputError(f"{rows} examples cannot be cut into {microbatches} equal microbatches")
    key = jax.random.fold_in(jax.random.fold_in(state.trained.key, state.step), _LABELS)
    keys = parallel.example_keys(key, rows, axis_name)
    told = drop(of.conditions, of.conditions.tokens(batch.labels, rows), keys, label_dropout)
    source = of.captions.source(batch.captions, rows)
    source = of_each(captions.drop(of.captions, source, keys, label_dropout), of.layout.sequences)
    read = _in_codes(of, tokens_of(of, batch.codes, told))
    how = {
        "networks": _networks_in_codes(networks, of, schedule),
        "tx": tx,
        "objective": objective,
        "microbatches": microbatches,
        "ema_decay": ema_decay,
        "axis_name": axis_name,
    }
    if schedule is None:
        trained, info = transformer.step(state.trained, _next(of, read, source), **how)
    else:
        trained, info = masked_step(
            state.trained,
            _masked(of, read, source),
            schedule=schedule,
            mask_id=of.mask_id,
            choices=of.layout.codes,
            **how,
        )
    return state._replace(trained=trained), info


def check_codes(of: Sequences, codes: jax.Array) -> None:
    """Refuses codes that would be read as others.

    Raises:
      InputError: they are not of the prior's grid, or not from 0 to K − 1.
    """
    shape = jnp.shape(codes)
    if not shape or shape[1:] != of.layout.shape:
        wanted = ", ".join(map(str, of.layout.shape))
        raise InputError(f"codes must be of shape [B, {wanted}], got {shape}")
    check_choices("codes", codes, of.layout.codes)


def _firsts(of: Sequences) -> np.ndarray:
    """The token of code 0 at each place, int `[R, T]`; 0 at a condition's."""
    return np.pad(of.layout.first, ((0, 0), (of.conditions.places, 0)))


def _in_codes(of: Sequences, tokens: jax.Array) -> jax.Array:
    """Rows of tokens `[B R, T]` as `by_place` reads them: codes from 0 at each place."""
    rows = tokens.reshape(-1, of.layout.sequences, of.length)
    return (rows - jnp.asarray(_firsts(of), jnp.int32)[None]).reshape(tokens.shape)


def _networks_in_codes(networks: Networks, of: Sequences, schedule: Schedule | None) -> Networks:
    return by_place(
        networks, _firsts(of), of.layout.shape[-1], of.layout.codes, ahead=schedule is None
    )


def _next(of: Sequences, tokens: jax.Array, source: Source | None) -> transformer.Batch:
    """Each code is to be predicted from what is before it; conditions and padding are not."""
    count, rows = of.conditions.places - 1, len(tokens) // of.layout.sequences
    real = jnp.asarray(of.layout.choices > 1, jnp.float32)
    weights = jnp.pad(jnp.tile(real, (rows, 1)), ((0, 0), (count, 0)))
    batch = transformer.next_tokens(tokens, weights)
    labels = jnp.where(weights > 0, batch.labels, 0)  # conditions are no codes
    return batch._replace(labels=labels, source=source)


def _masked(of: Sequences, tokens: jax.Array, source: Source | None) -> MaskedBatch:
    """All codes may be masked, and no condition."""
    maskable = jnp.arange(of.length)[None] >= of.conditions.places
    return MaskedBatch(tokens, jnp.broadcast_to(maskable, tokens.shape), source)


def nll(
    state: State,
    batch: Codes,
    keys: jax.Array,
    *,
    networks: Networks,
    of: Sequences,
    schedule: Schedule | None = None,
    samples: int = 8,
) -> jax.Array:
    """−log p(codes | labels, caption) of each example, or of a masked prior a bound: `[B]` nats.

    Args:
      state: of a trained prior; its averaged parameters are used.
      batch: see `Codes`.
      keys: `[B]`, of the bound's draws; see `nelbo`.
      networks, of, schedule: see `step`.
      samples: of the bound.

    Raises:
      InputError: codes, labels or captions do not fit the prior.
    """
    check_codes(of, batch.codes)
    rows, params = len(batch.codes), state.eval_params
    networks = _networks_in_codes(networks, of, schedule)
    read = _in_codes(of, tokens_of(of, batch.codes, of.conditions.tokens(batch.labels, rows)))
    source = of_each(of.captions.source(batch.captions, rows), of.layout.sequences)
    if schedule is not None:
        ids = {"mask_id": of.mask_id, "choices": of.layout.codes}
        masked = _masked(of, read, source)
        return nelbo(params, masked, keys, networks=networks, samples=samples, **ids)
    ahead = _next(of, read, source)
    losses = transformer.token_losses(params, ahead, networks=networks)
    return jnp.sum((ahead.weights * losses.nll).reshape(rows, -1), axis=-1)
