"""Sampling: each distribution against its definition, rewritten in NumPy with loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.transformer import sampling
from aigc_jax.transformer.sampling import Sampling

choose = jax.jit(sampling.choose, static_argnums=3)
adjust = jax.jit(sampling.adjust, static_argnums=2)
keep_top_k = jax.jit(sampling.keep_top_k, static_argnums=1)
keep_top_p = jax.jit(sampling.keep_top_p, static_argnums=1)

LOGITS = np.array([1.1, -0.3, 2.0, 0.4, -1.5, 1.7, 0.0, -4.0])
SEEN = np.array([0, 1, 1, 0, 0, 0, 1, 0], bool)
DRAWS = 20_000
# The 99.9 % quantiles of chi-square by degrees of freedom; the seed is fixed.
QUANTILES = [0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32]

ALONE = {
    "temperature": Sampling(temperature=1.7),
    "top_k": Sampling(top_k=2),
    "top_p": Sampling(top_p=0.8),
    "min_p": Sampling(min_p=0.12),
    "repetition_penalty": Sampling(repetition_penalty=1.8),
}
TOGETHER = {
    "top_k binds": Sampling(1.6, top_k=5, top_p=0.99, min_p=0.01, repetition_penalty=1.3),
    "top_p binds": Sampling(1.3, top_k=4, top_p=0.62, min_p=0.01, repetition_penalty=1.5),
    "min_p binds": Sampling(1.6, top_k=6, top_p=0.95, min_p=0.6, repetition_penalty=1.3),
}


def probabilities(logits, seen, s):
    """One row's distribution, token by token, in float64."""
    l = [float(x) for x in logits]
    for v in range(len(l)):
        if seen[v]:
            l[v] = l[v] / s.repetition_penalty if l[v] > 0 else l[v] * s.repetition_penalty
    p = np.exp(np.array(l) / s.temperature)
    p /= p.sum()
    order = sorted(range(len(p)), key=lambda v: -p[v])
    if s.top_k is not None:
        for v in order[s.top_k :]:
            p[v] = 0
        p /= p.sum()
    if s.top_p is not None:
        total = 0.0
        for v in order:
            if total >= s.top_p:
                p[v] = 0
            total += p[v]
        p /= p.sum()
    if s.min_p is not None:
        p[p < s.min_p * p.max()] = 0
        p /= p.sum()
    return p


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


@pytest.mark.parametrize("name", [*ALONE, *TOGETHER])
def test_frequencies_follow_the_definition_by_chi_square(name, keys):
    s = {**ALONE, **TOGETHER}[name]
    logits, seen = (np.tile(x, (DRAWS, 1)) for x in (np.float32(LOGITS), SEEN))
    counts = np.bincount(choose(logits, seen, keys, s), minlength=len(LOGITS))
    p = probabilities(LOGITS, SEEN, s)
    kept = p > 0
    assert counts[~kept].sum() == 0
    chi_square = ((counts - DRAWS * p)[kept] ** 2 / (DRAWS * p[kept])).sum()
    assert chi_square < QUANTILES[kept.sum() - 1]


def test_the_definitions_differ_so_that_the_frequencies_tell_them_apart():
    found = [probabilities(LOGITS, SEEN, s) for s in (Sampling(), *ALONE.values())]
    found += [probabilities(LOGITS, SEEN, s) for s in TOGETHER.values()]
    for p, q in itertools.combinations(found, 2):
        assert DRAWS * ((p - q) ** 2 / (p + q + 1e-12)).sum() > 100


@pytest.mark.parametrize("seed", range(3))
def test_random_distributions_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    logits, seen = 3 * rng.normal(size=(20, 30)), rng.random((20, 30)) < 0.3
    for s in (*ALONE.values(), *TOGETHER.values()):
        actual = jax.nn.softmax(adjust(jnp.float32(logits), jnp.array(seen), s), axis=-1)
        expected = [probabilities(*row, s) for row in zip(logits, seen, strict=True)]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-7)


def test_the_token_that_crosses_p_is_kept_and_no_more():
    logits = jnp.log(jnp.array([0.125, 0.5, 0.25, 0.125]))
    # Of 0.5, 0.25, ...: 0.5 alone does not reach 0.6, and reaches what is at most 0.5.
    for p, kept in [(0.6, [1, 2]), (0.75, [1, 2]), (0.76, [0, 1, 2, 3]), (0.5, [1]), (0.4, [1])]:
        actual = keep_top_p(logits, p)
        np.testing.assert_array_equal(np.flatnonzero(actual > -np.inf), kept)
        np.testing.assert_array_equal(actual[jnp.array(kept)], logits[jnp.array(kept)])


@pytest.mark.parametrize("p", [1e-50, 1e-30, 1e-3])
def test_top_p_near_0_is_the_argmax_without_top_k(p, rng):
    logits = jnp.float32(rng.normal(size=(5, 50)))
    kept = keep_top_p(logits, p) > -jnp.inf
    np.testing.assert_array_equal(kept, jax.nn.one_hot(logits.argmax(-1), 50, dtype=bool))


def test_top_p_of_1_rules_out_none(rng):
    logits = jnp.float32(8 * rng.normal(size=(5, 5000)))
    np.testing.assert_array_equal(keep_top_p(logits, 1.0), logits)


def test_nuclei_of_large_vocabularies_equal_those_of_a_sort(rng):
    logits = jnp.float32(3 * rng.normal(size=(2, 4, 3000)))
    p = np.float64(jax.nn.softmax(logits, axis=-1))
    ordered = -np.sort(-p, axis=-1)
    count = (np.cumsum(ordered, axis=-1) - ordered < 0.9).sum(-1)
    kept = (keep_top_p(logits, 0.9) > -jnp.inf).sum(-1)
    np.testing.assert_allclose(kept, count, atol=1)  # a sum in float32 may cross one token later


def test_ties_are_kept_together():
    logits = jnp.array([1.0, 2.0, 1.0, 0.0])
    for kept in (keep_top_k(logits, 2), keep_top_p(logits, 0.7)):
        np.testing.assert_array_equal(kept, [1.0, 2.0, 1.0, -np.inf])


def test_more_than_the_vocabulary_rules_out_none():
    np.testing.assert_array_equal(keep_top_k(jnp.float32(LOGITS), 100), LOGITS.astype("f"))


def test_tokens_ruled_out_stay_so():
    logits = jnp.array([[-jnp.inf, 1.0, 0.5, -jnp.inf]])
    seen = jnp.ones((1, 4), bool)
    s = Sampling(0.7, top_k=4, top_p=0.999, min_p=0.001, repetition_penalty=1.5)
    np.testing.assert_array_equal(adjust(logits, seen, s) > -jnp.inf, [[False, True, True, False]])


@pytest.mark.parametrize("filters", [{}, {"top_k": 5, "top_p": 0.9, "min_p": 0.1}])
def test_temperature_0_takes_the_greatest_after_the_penalty(filters, keys):
    logits = jnp.array([[2.0, 3.0, 2.5], [1.0, 1.0, 0.0], [-3.0, -2.0, -2.1]])
    seen = jnp.array([[False, True, False], [False, False, False], [False, True, False]])
    for penalty, tokens in [(1.0, [1, 0, 1]), (1.4, [2, 0, 2])]:
        s = Sampling(temperature=0.0, repetition_penalty=penalty, **filters)
        np.testing.assert_array_equal(choose(logits, seen, keys[:3], s), tokens)


def test_a_row_depends_on_its_own_key_and_logits_alone(rng, keys):
    logits = jnp.float32(rng.normal(size=(6, 40)))
    s = Sampling(top_k=30, top_p=0.9)
    together = choose(logits, None, keys[:6], s)
    alone = [choose(logits[i : i + 1], None, keys[i : i + 1], s)[0] for i in range(6)]
    np.testing.assert_array_equal(together, alone)
    assert together.dtype == jnp.int32
    assert len({int(x) for x in choose(jnp.tile(logits[:1], (6, 1)), None, keys[:6], s)}) > 2


def test_logits_of_half_precision_are_adjusted_in_float32():
    logits = jnp.bfloat16(LOGITS)
    actual = adjust(logits, None, Sampling(temperature=1.7))
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, np.float64(logits) / 1.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("inf")),
        ("temperature", float("nan")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", 0.0),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", float("nan")),
    ],
)
def test_what_no_distribution_follows_from_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Sampling(**{field: value})


def test_a_penalty_without_the_tokens_seen_is_refused():
    with pytest.raises(ValueError, match="repetition_penalty"):
        adjust(jnp.float32(LOGITS), None, Sampling(repetition_penalty=1.2))
