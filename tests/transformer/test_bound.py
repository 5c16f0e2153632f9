"""The bound on a whole text, against enumeration of a tiny model."""

import itertools

import jax
import numpy as np
import pytest

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer import Architecture, bound, heldout_nelbo
from aigc_jax.transformer.unmasking import predictor

T, CHOICES, MASK = 3, 3, 3
NETWORKS = transformer.networks_of(Architecture(4, context=T, layers=1, heads=1, width=6))
TEXT = np.array([2, 0, 1, 1, 1, 0, 2])  # two windows, and one token more


@pytest.fixture(scope="module")
def params():
    """So large that what a token is depends on the others."""
    made = jax.device_get(jax.jit(NETWORKS.init)(jax.random.key(0)))
    return jax.tree.map(lambda x: 9 * x, made)


@pytest.fixture(scope="module")
def log_p(params):
    """`[4, 4, 4, 3, 3]`: of each id at each place, by what is read at the three places."""
    reads = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
    logits = np.float64(jax.jit(lambda p: predictor(p, NETWORKS)(reads))(params))[..., :CHOICES]
    found = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return found.reshape(4, 4, 4, 3, 3)


def of_window(log_p, x, unknown):
    """The bound: the mean over all sets of n unknown tokens, and over n."""
    means = []
    for n in range(1, len(unknown) + 1):
        losses = []
        for hidden in itertools.combinations(unknown, n):
            read = tuple(MASK if t in hidden else x[t] for t in range(3))
            losses.append(-sum(log_p[read][t, x[t]] for t in hidden))
        means.append(len(unknown) / n * np.mean(losses))
    return np.mean(means)


def test_each_token_is_counted_once_and_the_error_is_that_of_the_masks(params, log_p):
    """The last window is that of the last three tokens, two of which are known to it."""
    expected = of_window(log_p, TEXT[:3], (0, 1, 2)) + of_window(log_p, TEXT[3:6], (0, 1, 2))
    expected = (expected + of_window(log_p, TEXT[4:], (2,))) / 7
    keys = jax.random.split(jax.random.key(1), 300)
    found = [heldout_nelbo(params, TEXT, key, networks=NETWORKS, samples=6) for key in keys]
    nats, errors = np.array(found).T
    assert nats.std() < 0.3 * expected
    assert abs(nats.mean() - expected) < 4 * nats.std() / 300**0.5
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(nats.std(), rel=0.2)


def test_a_key_decides_the_number_however_it_is_computed(params, monkeypatch):
    text, key = np.tile(TEXT, 3)[:20], jax.random.key(2)

    def of(key=key, **how):
        return heldout_nelbo(params, text, key, networks=NETWORKS, samples=4, **how)

    whole = of()
    assert whole == of()
    np.testing.assert_allclose(of(chunk=2, positions=2), whole, rtol=1e-5)
    monkeypatch.setattr(bound, "TOKENS", 9)
    np.testing.assert_allclose(of(), whole, rtol=1e-5)
    assert abs(of(jax.random.key(3)).nats - whole.nats) > 1e-3


@pytest.mark.parametrize("positions", [None, 2])
def test_logits_exist_for_so_many_positions_at_once_and_no_more(params, monkeypatch, positions):
    """None: as many as fit LOGITS, here 1 of 3 positions of 5 rows."""
    monkeypatch.setattr(bound, "LOGITS", 5 * 4 * (positions or 1))
    shapes = []

    def logits(params, states):
        shapes.append(states.shape)
        return NETWORKS.logits(params, states)

    noted = NETWORKS._replace(logits=logits)
    heldout_nelbo(
        params, np.tile(TEXT, 2), jax.random.key(0), networks=noted, samples=2, positions=positions
    )
    assert {shape[:2] for shape in shapes if len(shape) == 3} == {(5, positions or 1)}


def test_a_text_of_less_than_a_context_is_one_window(params):
    """Of two tokens: each half draws both numbers of masks, and one of two sets of one."""
    reads = np.array([[MASK, MASK], [MASK, TEXT[1]], [TEXT[0], MASK]], np.int32)
    logits = np.float64(jax.jit(lambda p: predictor(p, NETWORKS)(reads))(params))[..., :CHOICES]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    both = -log_p[0, 0, TEXT[0]] - log_p[0, 1, TEXT[1]]
    first, second = ((both - 2 * log_p[1 + t, t, TEXT[t]]) / 2 for t in (0, 1))
    found = heldout_nelbo(params, TEXT[:2], jax.random.key(0), networks=NETWORKS, samples=4)
    values = np.array([first, (first + second) / 2, second]) / 2
    assert np.abs(values - found.nats).min() < 1e-5
    assert np.ptp(values) > 0.1


@pytest.mark.parametrize("samples", [0, 3, -2])
def test_other_than_pairs_of_draws_are_refused(params, samples):
    with pytest.raises(InputError, match=f"samples must be a positive even number, got {samples}"):
        heldout_nelbo(params, TEXT, jax.random.key(0), networks=NETWORKS, samples=samples)


def test_a_text_without_tokens_is_refused(params):
    with pytest.raises(InputError, match="needs a token at least"):
        heldout_nelbo(params, TEXT[:0], jax.random.key(0), networks=NETWORKS)
