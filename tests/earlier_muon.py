"""A command with the Muon of version 0.1, for what that version began: see test_old_runs.py.

python -m earlier_muon experiments.lm --steps=8
"""

import runpy
import sys

import jax.numpy as jnp

from aigc_jax import muon


def five_iterations(x):
    """X ← 3.4445 X − 4.775 (X Xᵀ) X + 2.0315 (X Xᵀ)² X, from Frobenius' norm: `[N, m, n]`."""
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-8)
    for _ in range(5):
        gram = x @ x.swapaxes(1, 2)
        x = 3.4445 * x - 4.775 * gram @ x + 2.0315 * gram @ gram @ x
    return x


if __name__ == "__main__":
    muon.orthogonal = five_iterations
    del sys.argv[0]
    sys.modules.pop(sys.argv[0], None)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
