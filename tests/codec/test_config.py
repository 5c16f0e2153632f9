"""What a codec's config makes of its options."""

from dataclasses import replace

import jax
import numpy as np

from aigc_jax import codec, vq
from aigc_jax.codec.config import Images

SMALL = codec.Config(
    (8, 8), architecture=Images(width=4, blocks=1), quantiser=vq.Codebook(codes=8, features=4)
)


def test_gradients_are_clipped_to_the_norm_that_a_config_names(rng):
    """Where that is far below Adam's ε, of 1e-8, an update is far below the learning rate."""
    x = np.float32(rng.random((2, 8, 8, 1)))

    def moved(clip_norm):
        made = codec.make(replace(SMALL, clip_norm=clip_norm))
        state = jax.jit(made.init)(jax.random.key(0))
        after, _ = jax.jit(made.step)(state, x)
        pairs = zip(jax.tree.leaves(state.params), jax.tree.leaves(after.params), strict=True)
        return max(float(np.abs(a - b).max()) for a, b in pairs)

    assert 0 < moved(1e-11) < moved(0.0) / 100
