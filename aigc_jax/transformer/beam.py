"""Beam search: the most probable continuations of a prompt, several at a time.

Dimensions: B prompts, K beams, L length of a row in all, V vocabulary.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.transformer.generation import Cache, Extend, next_logits, prefill


class Beams(NamedTuple):
    """Hypotheses, the best first. Those of score −∞ do not exist."""

    tokens: jax.Array  # int32 [..., K, L], the prompt included, 0 after the end
    lengths: jax.Array  # int32 [..., K], the prompt and the end token included
    scores: jax.Array  # float32 [..., K]


class Search(NamedTuple):
    """The hypotheses of one prompt: those that have ended never compete for a beam."""

    prompt: jax.Array  # int32 [], its length
    alive: Beams  # all of one length; scores are log P, in nats
    ended: Beams  # scores are log P / lp


def length_penalty(length: jax.Array, alpha: float) -> jax.Array:
    """lp = ((5 + length) / 6)^α, by which log P is divided; α = 0 prefers short hypotheses.

    Args:
      length: generated tokens, the end token included.
      alpha: α ≥ 0.

    Returns:
      float32, in the shape of `length`; 1 at a length of 1.

    Source: Wu et al. 2016, https://arxiv.org/abs/1609.08144, equation 14, without coverage.
    """
    return ((5 + length.astype(jnp.float32)) / 6) ** alpha


def beam_search(
    extend: Extend,
    cache: Cache,
    prompts: jax.Array,
    lengths: jax.Array,
    length: int,
    beams: int,
    *,
    stop: int | None,
    alpha: float = 0.6,
) -> Beams:
    """Searches for the continuations y of greatest log P(y) / lp(|y|).

    A step takes the 2K best tokens that could follow the K beams. Of the K best among them, those
    that are the end token end hypotheses; the K best that are not are the next beams. So at α = 0 a
    single beam is greedy decoding. A prompt is done when its beams can no longer enter the K best
    hypotheses that have ended, or are L long.

    Args:
      extend, cache, prompts, lengths, length: see `generation.prefill`.
      beams: K.
      stop: the token that ends a hypothesis; None where all are to be L long.
      alpha: of `length_penalty`.

    Returns:
      Tokens `[B, K, L]`, lengths and scores `[B, K]`, the best first. Where no hypothesis of a
      prompt has ended, they are the beams that are L long.

    Raises:
      ValueError: there is no beam, α is negative, or prompts are empty or longer than L.

    Source: Sutskever et al. 2014, https://arxiv.org/abs/1409.3215, section 3.2; Wu et al. 2016,
    section 7, without their pruning.
    """
    if beams < 1:
        raise ValueError(f"beams must be at least 1, got {beams}")
    if not alpha >= 0:
        raise ValueError(f"alpha must not be negative, got {alpha}")
    cache, tokens = prefill(extend, cache, prompts, lengths, length)
    first_rows = jnp.arange(len(tokens))[:, None] * beams

    def unfinished(carry: tuple[Cache, Search]) -> jax.Array:
        return jnp.any(jax.vmap(partial(_can_improve, alpha=alpha))(carry[1]))

    def extend_all(carry: tuple[Cache, Search]) -> tuple[Cache, Search]:
        cache, search = carry
        alive = search.alive
        logits, cache = next_logits(
            extend, cache, alive.tokens.reshape(-1, length), alive.lengths.reshape(-1)
        )
        log_p = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(*alive.scores.shape, -1)
        search, parents = jax.vmap(partial(_grow, stop=stop, alpha=alpha))(search, log_p)
        return _rows(cache, (first_rows + parents).reshape(-1)), search

    cache = _rows(cache, jnp.repeat(jnp.arange(len(tokens)), beams))
    search = jax.vmap(partial(_start, beams=beams))(tokens, lengths.astype(jnp.int32))
    _, search = jax.lax.while_loop(unfinished, extend_all, (cache, search))
    return jax.vmap(partial(_result, alpha=alpha))(search)


def _rows(cache: Cache, rows: jax.Array) -> Cache:
    """The cache with these rows of it."""
    return jax.tree.map(lambda x: x[rows], cache)


def _start(tokens: jax.Array, length: jax.Array, *, beams: int) -> Search:
    """One beam, and none that has ended; of its K copies, K − 1 do not exist yet."""
    tokens, lengths = jnp.tile(tokens, (beams, 1)), jnp.repeat(length, beams)
    none = jnp.full(beams, -jnp.inf, jnp.float32)
    return Search(length, Beams(tokens, lengths, none.at[0].set(0)), Beams(tokens, lengths, none))


def _can_improve(search: Search, *, alpha: float) -> jax.Array:
    """Whether a beam can grow, and could end better than the worst of the K that have ended.

    log P ≤ 0 only falls as tokens are added, and lp only grows: what the best beam can reach is its
    current log P, divided by the lp of the greatest length.
    """
    length = search.alive.tokens.shape[-1]
    reachable = search.alive.scores.max() / length_penalty(length - search.prompt, alpha)
    return (search.alive.lengths[0] < length) & (reachable > search.ended.scores.min())


def _grow(
    search: Search, log_p: jax.Array, *, stop: int | None, alpha: float
) -> tuple[Search, jax.Array]:
    """One more token for all beams of a prompt that can improve.

    Args:
      search: of this prompt.
      log_p: log P `[K, V]` of the token that follows each beam.
      stop, alpha: see `beam_search`.

    Returns:
      The search, and int32 `[K]`: from which beam each of the new ones comes.
    """
    prompt, alive, ended = search
    beams, vocabulary = log_p.shape
    joint = (alive.scores[:, None] + log_p).reshape(-1)
    # Each beam ends in one way only: of 2K candidates, K at least go on.
    scores, places = jax.lax.top_k(joint, min(2 * beams, joint.size))
    parents, added = places // vocabulary, places % vocabulary
    tokens = alive.tokens[parents].at[:, alive.lengths[0]].set(added, mode="drop")
    lengths = alive.lengths[parents] + 1

    stopped = jnp.zeros_like(added, bool) if stop is None else added == stop
    normalized = scores / length_penalty(lengths - prompt, alpha)
    counts = stopped & (jnp.arange(len(added)) < beams)
    ending = Beams(tokens, lengths, jnp.where(counts, normalized, -jnp.inf))
    both = jax.tree.map(lambda old, new: jnp.concatenate([old, new]), ended, ending)
    grown, _ = _best(both, beams)
    going, chosen = _best(Beams(tokens, lengths, jnp.where(stopped, -jnp.inf, scores)), beams)

    new = Search(prompt, going, grown)
    # A prompt that is done keeps its beams while the others go on.
    improves = _can_improve(search, alpha=alpha)
    return jax.tree.map(partial(jnp.where, improves), new, search), parents[chosen]


def _best(beams: Beams, count: int) -> tuple[Beams, jax.Array]:
    """The best of them in order, and where they were."""
    _, places = jax.lax.top_k(beams.scores, count)
    return jax.tree.map(lambda x: x[places], beams), places


def _result(search: Search, *, alpha: float) -> Beams:
    """The hypotheses that have ended, or if there are none, the beams; what does not exist is 0."""
    prompt, alive, ended = search
    unfinished = alive._replace(scores=alive.scores / length_penalty(alive.lengths - prompt, alpha))
    any_ended = ended.scores[0] > -jnp.inf
    tokens, lengths, scores = jax.tree.map(partial(jnp.where, any_ended), ended, unfinished)
    exists = scores > -jnp.inf
    return Beams(jnp.where(exists[:, None], tokens, 0), jnp.where(exists, lengths, 0), scores)
