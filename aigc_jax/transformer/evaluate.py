"""The loss of a model over a whole text, over documents, or over pairs."""

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.data.batches import windows
from aigc_jax.data.packing import pack_documents
from aigc_jax.transformer.model import Batch, Networks, Objective, next_tokens, packed_documents
from aigc_jax.transformer.step import token_losses

TOKENS = 2**14  # that a pass reads at most, whatever number of rows it is asked for
LOGITS = 2**24  # that exist at once at most: 64 MiB


@partial(jax.jit, static_argnames=("networks", "positions"))
def _nll(params, batch, networks, positions):
    rows, length = batch.labels.shape
    most = max(LOGITS // (rows * networks.vocabulary_size), 1)
    some = min(positions or length, most)
    objective = Objective(chunk=None if some >= length else some)
    return token_losses(params, batch, networks=networks, objective=objective).nll


def mean_nll(
    params: Params,
    batches: Iterable[Batch],
    *,
    networks: Networks,
    positions: int | None = None,
) -> float:
    """Mean −log p of every label that counts, in nats, summed in float64.

    Args:
      params: of `networks`.
      batches: of few different shapes, since each is compiled.
      networks: the network.
      positions: how many have their logits in memory at once, see `losses.in_chunks`; at most, and
        for None, as many as have `LOGITS`.
    """
    total = counted = 0.0
    for batch in batches:
        losses = np.asarray(_nll(params, batch, networks, positions), np.float64)
        weights = np.asarray(batch.weights, np.float64)
        total += float((losses * weights).sum())
        counted += float(weights.sum())
    return total / max(counted, 1.0)


def heldout_nll(
    params: Params,
    tokens: np.ndarray,
    *,
    networks: Networks,
    chunk: int = 64,
    positions: int | None = None,
) -> float:
    """Mean −log p of every token but the first, in nats per token, each counted exactly once.

    The text is cut into windows of one context, so a token sees from 1 to T tokens before it.
    Nothing is random in it; random windows would give a different number each time.

    Args:
      params: of `networks`.
      tokens: int `[M]`, M ≥ 2.
      networks: the network.
      chunk: windows in a pass, at most `TOKENS` / T.
      positions: see `mean_nll`.
    """
    context = networks.context
    count, chunk = -(-(len(tokens) - 1) // context), _rows(chunk, context)
    # A part at a time, since the tokens may be on disk, being more than fit into memory.
    parts = (windows(tokens, context, i, i + chunk) for i in range(0, count, chunk))
    batches = (next_tokens(jnp.asarray(rows), jnp.asarray(weights)) for rows, weights in parts)
    return mean_nll(params, batches, networks=networks, positions=positions)


def documents_nll(
    params: Params,
    documents: Sequence[np.ndarray],
    *,
    networks: Networks,
    chunk: int = 64,
    positions: int | None = None,
) -> float:
    """Mean −log p of every token but each document's first, in nats per token, each counted once.

    A document sees only itself. One of more than T + 1 tokens is cut into parts that predict T
    tokens each and do not see each other, as `pack_documents` cuts it.

    Args:
      params: of `networks`.
      documents: int arrays `[≥ 2]`, from the token that all begin with to the one that ends them.
      networks: the network.
      chunk: rows in a pass, at most `TOKENS` / T.
      positions: see `mean_nll`.
    """
    packed, chunk = pack_documents(documents, networks.context)[:-1], _rows(chunk, networks.context)
    parts = (slice(i, i + chunk) for i in range(0, len(packed[0]), chunk))
    batches = (packed_documents([jnp.asarray(x[part]) for x in packed]) for part in parts)
    return mean_nll(params, batches, networks=networks, positions=positions)


def _rows(asked: int, context: int) -> int:
    return max(min(asked, TOKENS // context), 1)
