"""Codes that a prior writes: from the left, or in passes over all of them.

Dimensions: B rows, A places of conditions, L of codes, T = A + L, R sequences side by side, G the
grid's sides, N stages.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax import parallel, transformer
from aigc_jax.algorithm import Key, Params
from aigc_jax.blockwise import in_blocks
from aigc_jax.codec.captions import doubled, of_each
from aigc_jax.codec.conditions import check_guidance, guided, unconditional, within
from aigc_jax.codec.prior import Sequences, State, tokens_of
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer import Networks, Source
from aigc_jax.transformer.generation import generate
from aigc_jax.transformer.masking import Schedule, bidirectional, diffusion
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from aigc_jax.transformer.unmasking import Predict, unmask, unmask_at_random
from aigc_jax.transformer.unmasking import guided as guided_prediction

PASSES = 12  # of `unmask`; Chang et al. 2022 take 8 to 12


def sample(
    state: State,
    key: Key,
    n: int,
    *,
    networks: Networks,
    of: Sequences,
    schedule: Schedule | None = None,
    labels: Any = None,
    captions: Source | None = None,
    prompt: jax.Array | None = None,
    guidance: float = 1.0,
    sampling: Sampling = ANCESTRAL,
    passes: int | None = None,
    temperature: float = 4.5,
    rows_at_once: int | None = None,
) -> jax.Array:
    """n grids of codes, int32 `[n, *G, N]`.

    Args:
      state: of a trained prior; its averaged parameters are used.
      key: row i depends on it and on i alone.
      n: how many.
      networks, of: see `prior.step`.
      schedule: that of training. None: written from the left. `diffusion`: filled in by
        `unmask_at_random`, so that with a pass for each code −log p of what is drawn is what
        `prior.nll` bounds. Any other: by `unmask`.
      labels: int `[n, A]`, the value of each attribute, −1 for unknown; None for all unknown.
      captions: of n rows, see `Captions.source`; None for all unknown.
      prompt: int `[n, P, …, N]`: the codes of the first P positions of the grid's first axis, such
        as the first frames of a video; they are kept as they are.
      guidance: w, see `conditions.guided`.
      sampling: how a token is chosen.
      passes: over the codes, where they are filled in. None: one for each unknown code of
        `diffusion`, else `PASSES`.
      temperature: of `unmask`, which alone has one.
      rows_at_once: how many examples are written before the next begin; None: all.

    Raises:
      InputError: n, `rows_at_once` or `passes` is below 1, or labels, captions, prompt, guidance or
        sampling do not fit the prior.
    """
    for name, value in (("n", n), ("rows_at_once", rows_at_once), ("passes", passes)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    check_guidance(guidance, of.told)
    told, source = of.conditions.tokens(labels, n), of.captions.source(captions, n)
    tokens, given = _begun(of, told, prompt)
    write = _from_the_left if schedule is None else _by_passes(schedule, passes, temperature)
    keys = parallel.example_keys(key, n * of.layout.sequences)

    def rows(tokens, source, keys):
        read = tokens, of_each(source, of.layout.sequences)
        return write(state.eval_params, networks, of, *read, given, keys, guidance, sampling)

    sequences = of.layout.sequences
    tokens, keys = tokens.reshape(n, sequences, -1), keys.reshape(n, sequences)
    written = in_blocks(rows, tokens, source, keys, block=rows_at_once or n)
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
    source: Source | None,
    given: int,
    keys: jax.Array,
    guidance: float,
    sampling: Sampling,
) -> jax.Array:
    """Rows `[B, R, T]` written one token after another, by captions `[B R, S]`."""
    flat, keys = tokens.reshape(-1, of.length), keys.reshape(-1)
    extend = guided(transformer.extender(params, networks), of.conditions, guidance)
    extend = within(extend, *_bounds(of, tokens, given))
    rows = len(flat)
    if guidance != 1:
        rows, source = 2 * rows, doubled(of.captions, source)
    cache = networks.start(params, rows, of.length, source)
    before = of.conditions.places + given
    prompts, lengths = flat[:, :before], jnp.full(len(flat), before)
    written, _ = generate(extend, cache, prompts, lengths, of.length, keys, sampling=sampling)
    return written.reshape(tokens.shape)


def _by_passes(
    schedule: Schedule, passes: int | None, temperature: float
) -> Callable[..., jax.Array]:
    """Rows filled in by passes of the network over all codes."""

    def write(params, networks, of, tokens, source, given, keys, guidance, sampling):
        flat, keys = tokens.reshape(-1, of.length), keys.reshape(-1)
        first, choices = _bounds(of, tokens, given)
        predict = _predicting(params, networks, of, source, first, choices, guidance)
        if schedule is diffusion:
            fill, count = unmask_at_random, passes or of.layout.length - given
        else:
            fill, count = partial(unmask, temperature=temperature), passes or PASSES
        ids = {"mask_id": of.mask_id, "choices": of.layout.vocabulary_size}
        written = fill(predict, flat, choices > 1, keys, count, sampling=sampling, **ids)
        return written.reshape(tokens.shape)

    return write


def _predicting(
    params: Params,
    networks: Networks,
    of: Sequences,
    source: Source | None,
    first: jax.Array,
    choices: jax.Array,
    guidance: float,
) -> Predict:
    """Logits under guidance of the tokens that can stand at each place, see `_bounds`; the others
    are ruled out.
    """
    ids = jnp.arange(of.layout.vocabulary_size)[None, None]
    allowed = (ids >= first[..., None]) & (ids < (first + choices)[..., None])

    def read(tokens: jax.Array, source: Source | None) -> jax.Array:
        states = networks.hidden(params, bidirectional(tokens, source=source), None)
        return networks.logits(params, states)[..., : of.layout.vocabulary_size]

    def told(tokens: jax.Array) -> jax.Array:
        return read(tokens, source)

    def untold(tokens: jax.Array) -> jax.Array:
        positions = jnp.broadcast_to(jnp.arange(of.length)[None], tokens.shape)
        null = None if source is None else of.captions.null(*source.tokens.shape)
        return read(unconditional(of.conditions, tokens, positions), null)

    logits = guided_prediction(told, untold, guidance)
    return lambda tokens: jnp.where(allowed, logits(tokens), -jnp.inf)
