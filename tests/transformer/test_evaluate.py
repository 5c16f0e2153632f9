"""The loss of documents is that of each read alone, and no pass holds all logits at once."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.transformer import evaluate
from aigc_jax.transformer.beam import beam_search
from aigc_jax.transformer.generation import generate

CONFIG = transformer.Config(vocabulary_size=11, context=8, layers=2, heads=2, width=16)


@pytest.fixture(scope="module")
def initial():
    return jax.device_get(jax.jit(transformer.networks_of(CONFIG).init)(jax.random.key(0)))


def test_packed_documents_lose_what_each_loses_alone(rng, initial):
    networks = transformer.networks_of(CONFIG)
    # Far from its start, where attention is uniform and mixing documents would hardly be seen.
    params = jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape).astype(np.float32), initial)
    documents = [rng.integers(0, 11, length) for length in (4, 2, 9, 4, 2, 20, 9)]
    losses_of = jax.jit(partial(transformer.token_losses, networks=networks))
    total = counted = 0
    for document in documents:
        for start in range(0, len(document) - 1, 8):
            piece = document[None, start : start + 9]
            losses = losses_of(params, transformer.next_tokens(piece))
            total += np.asarray(losses.nll, np.float64).sum()
            counted += losses.nll.size
    nll = transformer.documents_nll(params, documents, networks=networks, chunk=2)
    assert counted == sum(len(document) - 1 for document in documents)
    np.testing.assert_allclose(nll, total / counted, rtol=1e-6)


@pytest.mark.parametrize("kind", ["text", "documents"])
@pytest.mark.parametrize("positions", [None, 1, 3, 100])
def test_logits_exist_for_so_many_positions_at_once_and_no_more(
    kind, positions, rng, monkeypatch, initial
):
    """None: as many as fit LOGITS, here 2 of 8 positions of 4 rows."""
    monkeypatch.setattr(evaluate, "LOGITS", 11 * 4 * 2)
    shapes, networks = [], transformer.networks_of(CONFIG)
    params = initial

    def logits(params, states):
        shapes.append(states.shape)
        return networks.logits(params, states)

    noted = networks._replace(logits=logits)
    if kind == "text":
        nll, data = transformer.heldout_nll, rng.integers(0, 11, 65)
    else:
        nll, data = transformer.documents_nll, [rng.integers(0, 11, n) for n in (4, 20, 9, 30)]
    found = nll(params, data, networks=noted, chunk=4, positions=positions)
    assert {shape[1] for shape in shapes if len(shape) == 3} == {min(positions or 2, 2)}
    monkeypatch.setattr(evaluate, "LOGITS", 2**24)
    whole = nll(params, data, networks=networks, chunk=4)
    np.testing.assert_allclose(found, whole, rtol=1e-6)


def test_an_evaluation_of_gpt2s_sizes_holds_no_logits_of_a_whole_batch():
    config = transformer.gpt2(layers=1)
    networks = transformer.networks_of(config)
    params = jax.eval_shape(networks.init, jax.random.key(0))
    rows = evaluate._rows(64, config.context)
    tokens = jax.ShapeDtypeStruct((rows, config.context + 1), jnp.int32)
    batch = jax.eval_shape(transformer.next_tokens, tokens)
    text = evaluate._nll.lower(params, batch, networks, None).as_text()
    logits = [
        np.prod([int(n) for n in found.split("x")[:-1]]) * 50_257
        for found in re.findall(r"tensor<((?:\d+x)+)50257xf32>", text)
    ]
    assert max(logits) <= evaluate.LOGITS


@pytest.mark.parametrize("search", [False, True])
def test_a_prompt_that_is_read_has_no_logits(search):
    networks = transformer.networks_of(CONFIG)
    params = jax.eval_shape(networks.init, jax.random.key(0))

    def write(params, prompts):
        extend, cache = transformer.extender(params, networks), networks.start(params, 3, 8)
        lengths = jnp.full((3,), 5)
        if search:
            return beam_search(extend, cache, prompts, lengths, 8, 2, stop=None)
        keys = jax.random.split(jax.random.key(0), 3)
        return generate(extend, cache, prompts, lengths, 8, keys)

    text = jax.jit(write).lower(params, jax.ShapeDtypeStruct((3, 5), jnp.int32)).as_text()
    assert "x1x11xf32" in text
    assert "x5x11xf32" not in text
