"""The loss of documents is that of each read alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer

CONFIG = transformer.Config(vocabulary_size=11, context=8, layers=2, heads=2, width=16)


def test_packed_documents_lose_what_each_loses_alone(rng):
    networks = transformer.networks_of(CONFIG)
    params = networks.init(jax.random.key(0))
    # Far from its start, where attention is uniform and mixing documents would hardly be seen.
    params = jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape).astype(np.float32), params)
    documents = [rng.integers(0, 11, length) for length in (4, 2, 9, 4, 2, 20, 9)]
    losses_of = jax.jit(partial(transformer.token_losses, networks=networks))
    total = counted = 0
    for document in documents:
        for start in range(0, len(document) - 1, 8):
            piece = jnp.asarray(document[start : start + 9])[None]
            losses = losses_of(params, transformer.next_tokens(piece))
            total += np.asarray(losses.nll, np.float64).sum()
            counted += losses.nll.size
    nll = transformer.documents_nll(params, documents, networks=networks, chunk=2)
    assert counted == sum(len(document) - 1 for document in documents)
    np.testing.assert_allclose(nll, total / counted, rtol=1e-6)
