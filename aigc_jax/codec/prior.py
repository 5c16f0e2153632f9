"""The prior over codes: a Transformer that writes them, from the left or in any order.

The codec is frozen in the prior's state, so that a prior's samples never depend on a codec that has
trained on, and a run of it holds all that generates.

Dimensions: B rows, A places of conditions, L of codes, T = A + L, R sequences side by side, G the
grid's sides, N stages.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aigc_jax import optim, parallel, transformer
from aigc_jax.algorithm import Key, Params
from aigc_jax.codec.conditions import (
    Conditions,
    by_place,
    check_guidance,
    drop,
    guided,
    unconditional,
    within,
)
from aigc_jax.codec.layouts import Layout
from aigc_jax.codec.model import Coder
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer import Networks, Objective
from aigc_jax.transformer.generation import generate
from aigc_jax.transformer.masked import masked_step, nelbo
from aigc_jax.transformer.masking import MaskedBatch, Schedule, bidirectional
from aigc_jax.transformer.model import PLAIN
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from aigc_jax.transformer.unmasking import guided as guided_prediction
from aigc_jax.transformer.unmasking import unmask

_LABELS = 2**32 - 2  # no example's number, and not that of `masked_step`


class Codes(NamedTuple):
    """What a prior is trained on."""

    codes: jax.Array  # int [B, *G, N]
    labels: jax.Array | None = None  # int [B, A]; None: unknown


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
        return self.conditions.end


def sequences(layout: Layout, sizes: tuple[int, ...] = ()) -> Sequences:
    """Codes in an order, after conditions of which the attributes have these many values."""
    return Sequences(layout, Conditions(tuple(sizes), layout.vocabulary_size + 1))


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
      batch: codes, and the classes of what they code.
      networks, tx: the Transformer and its optimiser.
      of: how codes become tokens.
      schedule: None for a prior that writes from the left; else what is masked, see `masking`.
      objective, microbatches, ema_decay, axis_name: see `transformer.step`.
      label_dropout: the share of examples whose conditions are replaced by nulls.

    Returns:
      The new state, and `transformer.Info`, in nats per code.

    Raises:
      InputError: codes or labels do not fit the prior, or the examples the microbatches.
    """
    check_codes(of, batch.codes)
    rows = len(batch.codes)
    if rows % microbatches:
        raise InputError(f"{rows} examples cannot be cut into {microbatches} equal microbatches")
    key = jax.random.fold_in(jax.random.fold_in(state.trained.key, state.step), _LABELS)
    told = drop(
        of.conditions,
        of.conditions.tokens(batch.labels, rows),
        parallel.example_keys(key, rows, axis_name),
        label_dropout,
    )
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
        trained, info = transformer.step(state.trained, _next(of, read), **how)
    else:
        trained, info = masked_step(
            state.trained,
            _masked(of, read),
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


def _next(of: Sequences, tokens: jax.Array) -> transformer.Batch:
    """Each code is to be predicted from what is before it; conditions and padding are not."""
    count, rows = of.conditions.places - 1, len(tokens) // of.layout.sequences
    real = jnp.asarray(of.layout.choices > 1, jnp.float32)
    weights = jnp.pad(jnp.tile(real, (rows, 1)), ((0, 0), (count, 0)))
    batch = transformer.next_tokens(tokens, weights)
    return batch._replace(labels=jnp.where(weights > 0, batch.labels, 0))  # conditions are no codes


def _masked(of: Sequences, tokens: jax.Array) -> MaskedBatch:
    """All codes may be masked, and no condition."""
    maskable = jnp.arange(of.length)[None] >= of.conditions.places
    return MaskedBatch(tokens, jnp.broadcast_to(maskable, tokens.shape))


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
    """−log p(codes | labels) of each example, or of a masked prior a bound on it: `[B]` nats.

    Args:
      state: of a trained prior; its averaged parameters are used.
      batch: see `Codes`.
      keys: `[B]`, of the bound's draws; see `nelbo`.
      networks, of, schedule: see `step`.
      samples: of the bound.

    Raises:
      InputError: codes or labels do not fit the prior.
    """
    check_codes(of, batch.codes)
    rows, params = len(batch.codes), state.eval_params
    networks = _networks_in_codes(networks, of, schedule)
    read = _in_codes(of, tokens_of(of, batch.codes, of.conditions.tokens(batch.labels, rows)))
    if schedule is not None:
        ids = {"mask_id": of.mask_id, "choices": of.layout.codes}
        masked = _masked(of, read)
        return nelbo(params, masked, keys, networks=networks, samples=samples, **ids)
    ahead = _next(of, read)
    losses = transformer.token_losses(params, ahead, networks=networks)
    return jnp.sum((ahead.weights * losses.nll).reshape(rows, -1), axis=-1)


def sample(
    state: State,
    key: Key,
    n: int,
    *,
    networks: Networks,
    of: Sequences,
    labels: Any = None,
    prompt: jax.Array | None = None,
    guidance: float = 1.0,
    sampling: Sampling = ANCESTRAL,
    in_order: bool = True,
    passes: int = 12,
    temperature: float = 4.5,
    rows_at_once: int | None = None,
) -> jax.Array:
    """n grids of codes, int32 `[n, *G, N]`.

    Args:
      state: of a trained prior; its averaged parameters are used.
      key: row i depends on it and on i alone.
      n: how many.
      networks, of: see `step`.
      labels: int `[n, A]`, the value of each attribute, −1 for unknown; None for all unknown.
      prompt: int `[n, P, …, N]`: the codes of the first P positions of the grid's first axis, such
        as the first frames of a video; they are kept as they are.
      guidance: w, see `conditions.guided`.
      sampling: how a token is chosen.
      in_order: whether the prior writes from the left; else it fills in codes by `unmask`.
      passes, temperature: of `unmask`.
      rows_at_once: how many examples are written before the next begin; None: all.

    Raises:
      InputError: labels, prompt or guidance do not fit the prior.
    """
    check_guidance(guidance, of.conditions.sizes)
    told = of.conditions.tokens(labels, n)
    tokens, given = _begun(of, told, prompt)
    write = _from_the_left if in_order else _by_passes(passes, temperature)
    keys = parallel.example_keys(key, n * of.layout.sequences)

    def rows(parts):
        tokens, keys = parts
        return write(state.eval_params, networks, of, tokens, given, keys, guidance, sampling)

    sequences = of.layout.sequences
    tokens, keys = tokens.reshape(n, sequences, -1), keys.reshape(n, sequences)
    if rows_at_once is None or rows_at_once >= n:
        written = rows((tokens, keys))
    else:
        groups = -(-n // rows_at_once)
        # The last group is filled up with examples that are not asked for.
        own = jnp.arange(groups * rows_at_once).reshape(groups, rows_at_once) % n
        written = jax.lax.map(rows, (tokens[own], keys[own]))
        written = written.reshape(-1, *tokens.shape[1:])[:n]
    return of.layout.codes_of(written[..., of.conditions.places :])


def _begun(of: Sequences, told: jax.Array, prompt: Any) -> tuple[jax.Array, int]:
    """Rows `[n R, T]` with conditions and prompt in place; how many codes of a row are given."""
    n, layout = len(told), of.layout
    shape = n, *layout.shape
    codes, given = jnp.zeros(shape, jnp.int32), 0
    if prompt is not None:
        leading = jnp.shape(prompt)[1] if jnp.ndim(prompt) > 1 else 0
        if not 0 < leading < shape[1] or jnp.shape(prompt) != (n, leading, *shape[2:]):
            wanted = ", ".join(["P", *map(str, shape[2:])])
            raise InputError(
                f"a prompt must be codes of shape [{n}, {wanted}], P from 1 to {shape[1] - 1}, got "
                f"{jnp.shape(prompt)}"
            )
        prompt = check_choices("a prompt's codes", prompt, layout.codes)
        codes = codes.at[:, :leading].set(jnp.asarray(prompt, jnp.int32))
        given = layout.prefix(leading)
    return tokens_of(of, codes, told), given


def _bounds(of: Sequences, tokens: jax.Array, given: int) -> tuple[jax.Array, jax.Array]:
    """For each place of rows `[B, R, T]`, the least token and how many there are: `[B R, T]` both.

    A stage of the delay pattern has its first `given` codes later by its number.
    """
    layout, places = of.layout, of.conditions.places
    shape = tokens.shape
    first = jnp.broadcast_to(
        jnp.asarray(layout.first, jnp.int32)[None], (*shape[:2], layout.length)
    )
    choices = jnp.broadcast_to(jnp.asarray(layout.choices, jnp.int32)[None], first.shape)
    begins = jnp.argmax(jnp.asarray(layout.choices) > 1, axis=1)[None, :, None]
    known = jnp.arange(layout.length)[None, None] < begins + given
    first = jnp.where(known, tokens[..., places:], first)
    choices = jnp.where(known, 1, choices)
    first = jnp.concatenate([tokens[..., :places], first], axis=-1)
    choices = jnp.pad(choices, ((0, 0), (0, 0), (places, 0)), constant_values=1)
    return first.reshape(-1, of.length), choices.reshape(-1, of.length)


def _from_the_left(
    params: Params,
    networks: Networks,
    of: Sequences,
    tokens: jax.Array,
    given: int,
    keys: jax.Array,
    guidance: float,
    sampling: Sampling,
) -> jax.Array:
    """Rows `[B, R, T]` written one token after another."""
    flat, keys = tokens.reshape(-1, of.length), keys.reshape(-1)
    extend = guided(transformer.extender(params, networks), of.conditions, guidance)
    extend = within(extend, *_bounds(of, tokens, given))
    cache = networks.start(params, len(flat) * (1 if guidance == 1 else 2), of.length)
    before = of.conditions.places + given
    prompts, lengths = flat[:, :before], jnp.full(len(flat), before)
    rows, _ = generate(extend, cache, prompts, lengths, of.length, keys, sampling=sampling)
    return rows.reshape(tokens.shape)


def _by_passes(passes: int, temperature: float) -> Callable[..., jax.Array]:
    """Rows written in K passes, each of the tokens that the model is most confident of."""

    def write(params, networks, of, tokens, given, keys, guidance, sampling):
        flat, keys = tokens.reshape(-1, of.length), keys.reshape(-1)
        first, choices = _bounds(of, tokens, given)
        ids = jnp.arange(of.layout.vocabulary_size)[None, None]
        allowed = (ids >= first[..., None]) & (ids < (first + choices)[..., None])

        def predict(tokens):
            states = networks.hidden(params, bidirectional(tokens), None)
            return networks.logits(params, states)[..., : of.layout.vocabulary_size]

        def untold(tokens):
            positions = jnp.broadcast_to(jnp.arange(of.length)[None], tokens.shape)
            return predict(unconditional(of.conditions, tokens, positions))

        logits = guided_prediction(predict, untold, guidance)
        written = unmask(
            lambda tokens: jnp.where(allowed, logits(tokens), -jnp.inf),
            flat,
            choices > 1,
            keys,
            passes,
            mask_id=of.mask_id,
            choices=of.layout.vocabulary_size,
            sampling=sampling,
            temperature=temperature,
        )
        return written.reshape(tokens.shape)

    return write
