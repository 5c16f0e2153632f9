"""How sure a classifier is of generated examples, and how many classes it finds among them.

All are relative to that classifier: figures of two classifiers do not compare. Probabilities are
of all N examples at once, not of batches whose scores are averaged.

Dimensions: N generated, M training examples, K classes.
"""

import math

import numpy as np

from aigc_jax.errors import InputError
from aigc_jax.metrics.classes import kl_divergence

# The least normal number of float32, so that nothing which a softmax tells from 0 is changed.
_FLOOR = 2.0**-126


def _rows(probabilities: np.ndarray) -> np.ndarray:
    """`[N, K]` in float64, its rows of sum 1 to that precision."""
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or not p.size:
        raise InputError(f"probabilities must be of shape [N, K], N >= 1; got {p.shape}")
    sums = p.sum(axis=1, keepdims=True)
    # Rounding in bfloat16, of 2⁻⁸, is let pass; NaN is not.
    if not ((p >= 0).all() and (np.abs(sums - 1) < 0.01).all()):
        raise InputError("probabilities must be >= 0 and each row of sum 1; give no logits")
    return p / sums


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, _FLOOR))


def inception_score(probabilities: np.ndarray) -> float:
    """IS = exp E_x KL(p(y|x) ‖ p(y)),   p(y) = E_x p(y|x): the exponential of the information.

        log IS = H(E_x p(y|x)) − E_x H(p(y|x)) = I(x; y)

    It is K where each example is surely of one class and all classes are equally frequent; 1 where
    p(y|x) is the same for all x, so for a generator of one example or of examples that tell the
    classifier nothing. Within a class it sees no lack of diversity. A sample's entropy of p(y) is
    too small, so that log IS is about (K − 1) / 2N too low for sure predictions and less for
    others: compare at equal N.

    Args:
      probabilities: p(y|x), `[N, K]`, each row of sum 1.

    Returns:
      In [1, K].

    Raises:
      InputError: no such matrix.

    Source: Salimans et al. 2016, https://arxiv.org/abs/1606.03498, by their Inception network on
    ten splits. Here it is one set, as in the formula; S4's judge of SC09 takes p(y) from one half
    and x from the other.
    """
    p = _rows(probabilities)
    marginal = p.mean(axis=0)
    return math.exp(max(float((p * (_log(p) - _log(marginal))).sum(axis=1).mean()), 0.0))


def modified_inception_score(probabilities: np.ndarray) -> float:
    """mIS = exp E_{x,x'} KL(p(y|x) ‖ p(y|x')) over all N² ordered pairs, in O(N K).

        log mIS = −E_x H(p(y|x)) − Σ_y p(y) E_x' log p(y|x')

    It is 1 where p(y|x) is the same for all x, and has no upper bound: for a perfect generator it
    says how sure the classifier is. Where it gives ε to each class but one of K, equally frequent,

        log mIS = (1 − 1/K) (1 − K ε) log((1 − (K − 1) ε) / ε),

    for K = 10 a factor of 8 for each factor of 10 in ε. So hold it against that of the training
    set, by the same classifier. Probabilities below 2⁻¹²⁶ = 1.2e-38, the least normal float32,
    count as that, which keeps the score finite.

    Args:
      probabilities: p(y|x), `[N, K]`, each row of sum 1.

    Returns:
      ≥ 1.

    Raises:
      InputError: no such matrix.

    Source: Gurumurthy et al. 2017, https://arxiv.org/abs/1706.02071, whose pairs are of one class
    and measure its diversity. Pairs of all examples, as here, are SC09's: Kong et al. 2021,
    https://arxiv.org/abs/2009.09761; S4's judge draws 10,000 of them.
    """
    p = _rows(probabilities)
    logs = _log(p)
    divergence = (p * logs).sum(axis=1).mean() - p.mean(axis=0) @ logs.mean(axis=0)
    return math.exp(max(float(divergence), 0.0))


def am_score(train: np.ndarray, generated: np.ndarray) -> float:
    """AM = KL(p_train(y) ‖ p_gen(y)) + E_x H(p(y|x)), in nats; lower is better.

    Unlike IS, it is best where classes are as frequent as in the training set. It is 0 where they
    are and the classifier is sure of each example, and log K where it takes every example for each
    of K equally frequent classes alike. A missing class costs its frequency times −log p_gen(y),
    which is what the classifier's doubt leaves of it; a p_gen(y) below 2⁻¹²⁶, the least normal
    float32, counts as that.

    Args:
      train: `[M, K]`, p(y|x) of training examples; of their labels' frequencies, one row `[1, K]`.
      generated: `[N, K]`, p(y|x) of generated ones.

    Returns:
      ≥ 0.

    Raises:
      InputError: no such matrices, or they differ in K.

    Source: Zhou et al. 2018, https://arxiv.org/abs/1703.02000.
    """
    p, q = _rows(train), _rows(generated)
    if p.shape[1] != q.shape[1]:
        message = f"{p.shape[1]} and {q.shape[1]} classes do not compare; take one classifier's"
        raise InputError(message)
    frequencies = np.maximum(q.mean(axis=0), _FLOOR)
    entropy = float(-(q * _log(q)).sum(axis=1).mean())
    return max(kl_divergence(p.mean(axis=0), frequencies), 0.0) + entropy
