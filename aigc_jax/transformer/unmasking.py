"""Decoding of Transformers that fill in what is masked: several tokens in each pass.

    unmask            MaskGIT's: the tokens that the model is most confident of first
    unmask_at_random  masked diffusion's: in random order, whatever the model says

Both know a network only as `Predict`, and are pure functions that can be jitted.

Dimensions: B rows, T positions, N unknown tokens of a row, K passes, V vocabulary, C choices.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer.masking import bidirectional, check_ids, check_mask, random_order, ranks
from aigc_jax.transformer.model import Networks
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling, adjust

Predict = Callable[[jax.Array], jax.Array]
"""`(tokens int32 [B, T]) -> logits float32 [B, T, V]`, with `mask_id` where tokens are unknown."""

Share = Callable[[np.ndarray], np.ndarray]
"""The share of the unknown tokens that is masked after a share r of the passes: from 1 to 0."""


def cosine_share(r: np.ndarray) -> np.ndarray:
    """cos(π r / 2): few tokens in the first passes, many in the last."""
    return np.cos(np.pi / 2 * r)


def linear_share(r: np.ndarray) -> np.ndarray:
    """1 − r: as many tokens in each pass."""
    return 1.0 - r


def predictor(params: Params, networks: Networks) -> Predict:
    """What decoding needs of a model: a pass in which all positions see each other."""

    def predict(tokens: jax.Array) -> jax.Array:
        return networks.logits(params, networks.hidden(params, bidirectional(tokens), None))

    return predict


def guided(predict_conditional: Predict, predict_null: Predict, weight: float) -> Predict:
    """Classifier-free guidance:  l_null + w (l_conditional − l_null).

    At w = 1 it is `predict_conditional` itself, without a second pass.

    Args:
      predict_conditional: with the condition.
      predict_null: with what the condition was replaced by where training dropped it.
      weight: w; above 1 the condition counts for more than the model says.

    Source: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598, whose w is ours less 1.
    """
    if weight == 1:
        return predict_conditional

    def predict(tokens: jax.Array) -> jax.Array:
        null = predict_null(tokens)
        return null + weight * (predict_conditional(tokens) - null)

    return predict


def unmask(
    predict: Predict,
    tokens: jax.Array,
    unknown: jax.Array,
    keys: Keys,
    passes: int,
    *,
    mask_id: int,
    choices: int,
    sampling: Sampling = ANCESTRAL,
    temperature: float = 4.5,
    share: Share = cosine_share,
) -> jax.Array:
    """Fills in the unknown tokens, the most confident first, as MaskGIT does.

    Pass k of 1 … K draws an id for each masked position. Where p is the model's own distribution,
    whatever `sampling` makes of it, an id's confidence is

        log p(id) + τ (1 − k / K) g,   g ~ Gumbel(0, 1)

    and the max(1, min(left − 1, ⌊N share(k / K)⌋)) least confident are masked again, `left` being
    those that this pass drew. The others are decided, and never drawn again. The last pass masks
    nothing.

    Args:
      predict: the network, see `predictor`.
      tokens: int `[B, T]`; what stands at unknown positions is ignored.
      unknown: bool `[B, T]`; rows may differ in how many they have.
      keys: `[B]`; a row depends on its own alone.
      passes: K; more than N leave nothing to do but to draw the last token again.
      mask_id: the id that `predict` knows a masked token by, from C on.
      choices: C, how many of the first ids may be written.
      sampling: how an id is chosen; not with a repetition penalty.
      temperature: τ ≥ 0, of the noise. At 0 only p decides, which makes samples alike; large
        ones approach random order.
      share: see `Share`.

    Returns:
      int32 `[B, T]` without `mask_id`, the known tokens as they were.

    Raises:
      InputError: shapes do not fit, a known token is `mask_id`, or a number is out of range.

    Source: Chang et al. 2022, https://arxiv.org/abs/2202.04200, section 3.2, and their code.
    """
    if not 0 <= temperature < math.inf:
        raise InputError(f"temperature must be finite and not negative, got {temperature}")
    tokens = _checked(tokens, unknown, keys, passes, mask_id, choices, sampling)
    sizes = jnp.sum(unknown, axis=1, dtype=jnp.int32)
    shares = _shares(share, passes)
    gumbel = partial(jax.random.gumbel, shape=tokens.shape[1:], dtype=jnp.float32)

    def decide(k: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        tokens, masked = carry
        own = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, k)))(keys)
        logits = jnp.float32(predict(tokens))[..., :choices]
        ids = _draw(logits, own[:, 0], sampling)
        log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), ids[..., None], axis=-1)[..., 0]
        noise = jax.vmap(gumbel)(own[:, 1])
        confidence = log_p + temperature * (1 - (k + 1) / passes) * noise
        left = jnp.sum(masked, axis=1, dtype=jnp.int32)
        wanted = jnp.floor(sizes * shares[k]).astype(jnp.int32)
        again = jnp.where(k + 1 < passes, jnp.maximum(1, jnp.minimum(left - 1, wanted)), 0)
        tokens = jnp.where(masked, ids, tokens)
        masked &= ranks(jnp.where(masked, confidence, jnp.inf)) < again[:, None]
        return jnp.where(masked, mask_id, tokens), masked

    begun = jnp.where(unknown, mask_id, tokens), jnp.asarray(unknown)
    return jax.lax.fori_loop(0, passes, decide, begun)[0]


def unmask_at_random(
    predict: Predict,
    tokens: jax.Array,
    unknown: jax.Array,
    keys: Keys,
    passes: int,
    *,
    mask_id: int,
    choices: int,
    sampling: Sampling = ANCESTRAL,
    share: Share = linear_share,
    even: bool = True,
) -> jax.Array:
    """Fills in the unknown tokens in random order: the sampler of masked diffusion.

    Ancestral sampling of the reversed process has each masked token written in pass k with
    probability 1 − s(k / K) / s((k − 1) / K), independently, where s is `share`. By default as many
    are written as that writes on average, rounded: N (1 − s(k / K)) up to pass k. With K = N and
    `linear_share` this is a token a pass, and the distribution exactly that of the model in a
    random order, whose −log p `nelbo` bounds. With fewer passes, tokens of one pass are independent
    given those before.

    Args:
      predict, tokens, unknown, keys, passes, mask_id, choices, sampling: see `unmask`.
      share: see `Share`.
      even: False draws for each token whether it is written, as above.

    Returns:
      int32 `[B, T]` without `mask_id`, the known tokens as they were.

    Raises:
      InputError: see `unmask`.

    Source: Sahoo et al. 2024, https://arxiv.org/abs/2406.07524, a token a pass: Zheng et al. 2024,
    https://arxiv.org/abs/2409.02908, who find that Gumbel noise of 32 bits lowers the temperature.
    """
    tokens = _checked(tokens, unknown, keys, passes, mask_id, choices, sampling)
    written = 1 - _shares(share, passes)[:-1]
    own = jax.vmap(jax.random.split)(keys)
    if even:
        sizes = jnp.sum(unknown, axis=1, dtype=jnp.int32)[:, None]
        # Rounded to the nearest, since K (1 / K) need not be 1.
        ends = jnp.rint(sizes * written[None]).astype(jnp.int32)
        places = random_order(own[:, 0], unknown)
    else:
        uniform = partial(jax.random.uniform, shape=tokens.shape[1:], dtype=jnp.float32)
        places, ends = jax.vmap(uniform)(own[:, 0]), written[None]
    turn = jnp.sum(ends[:, None] <= places[..., None], axis=-1)

    def write(k: jax.Array, tokens: jax.Array) -> jax.Array:
        # Each position's noise is used once, in its own pass.
        ids = _draw(jnp.float32(predict(tokens))[..., :choices], own[:, 1], sampling)
        return jnp.where(unknown & (turn == k), ids, tokens)

    return jax.lax.fori_loop(0, passes, write, jnp.where(unknown, mask_id, tokens))


def _shares(share: Share, passes: int) -> jax.Array:
    """Of passes 1 … K. In float64, by which cos(π / 3) is ½ when it is rounded to float32."""
    return jnp.asarray(share(np.arange(1, passes + 1) / passes), jnp.float32)


def _draw(logits: jax.Array, keys: Keys, sampling: Sampling) -> jax.Array:
    """An id `[B, T]` for each position of logits `[B, T, C]`."""
    logits = adjust(logits, None, sampling)
    if sampling.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return jax.vmap(_categorical)(keys, logits)


def _categorical(key: Key, logits: jax.Array) -> jax.Array:
    """An id `[T]` from logits `[T, C]`: a group of about √C ids, and one of these.

    P(id) = P(group) P(id | group) takes 2 √C random numbers in place of C. For 64 rows of 50 tokens
    of 512 they took four times as long as a network of four layers of width 128, on a CPU.
    """
    length, choices = logits.shape
    size = math.isqrt(choices - 1) + 1
    groups = -(-choices // size)
    padding = ((0, 0), (0, groups * size - choices))
    logits = jnp.pad(logits, padding, constant_values=-jnp.inf).reshape(length, groups, size)
    key_group, key_id = jax.random.split(key)
    # By default no id of probability below 1e-7 is drawn as often as it should be.
    draw = partial(jax.random.categorical, mode="high")
    group = draw(key_group, jax.nn.logsumexp(logits, axis=-1))
    of_group = jnp.take_along_axis(logits, group[:, None, None], axis=1)[:, 0]
    return (group * size + draw(key_id, of_group)).astype(jnp.int32)


def _checked(
    tokens: jax.Array,
    unknown: jax.Array,
    keys: Keys,
    passes: int,
    mask_id: int,
    choices: int,
    sampling: Sampling,
) -> jax.Array:
    """The tokens as int32, or an InputError."""
    shape = jnp.shape(tokens)
    if len(shape) != 2 or not shape[1]:
        raise InputError(f"tokens must be of shape [B, T], T at least 1, got {shape}")
    check_mask("unknown", unknown, shape)
    if jnp.shape(keys) != shape[:1]:
        raise InputError(f"keys must be of shape {shape[:1]}, got {jnp.shape(keys)}")
    if passes < 1:
        raise InputError(f"passes must be at least 1, got {passes}")
    if sampling.penalizes:
        raise InputError("repetition_penalty must be 1 where tokens are not written in their order")
    check_ids(None, mask_id, choices)
    tokens = jnp.asarray(check_choices("tokens", tokens, np.iinfo(np.int32).max), jnp.int32)
    known = ~jnp.asarray(unknown)
    masks = jnp.any(known & (tokens == mask_id))
    if not isinstance(masks, jax.core.Tracer) and masks:
        raise InputError(f"a known token is mask_id={mask_id}: mark it as unknown")
    return tokens
