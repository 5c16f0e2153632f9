"""Learning, not only running: each preset finds both kinds of a toy's images, and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import gan

SIDE, BATCH = 8, 32
PRESETS = {
    "textbook": (gan.TEXTBOOK, {"width": 32}, 500),
    "mlp": (gan.MLP, {"width": 32}, 3000),
    "dcgan": (gan.DCGAN, {"width": 8}, 300),
    "wgan_gp": (gan.WGAN_GP, {"width": 8}, 300),
    "sngan": (gan.SNGAN, {"width": 8}, 300),
    "r3gan": (gan.R3GAN, {"width": 8}, 600),
}
IN_ALL = {"textbook", "wgan_gp", "sngan"}


def toys(key, n):
    """Images whose upper or lower half is bright, a little apart from each other."""
    key_kind, key_noise = jax.random.split(key)
    upper = jax.random.bernoulli(key_kind, shape=(n, 1, 1, 1))
    is_upper = (jnp.arange(SIDE) < SIDE // 2)[None, :, None, None]
    noise = jax.random.uniform(key_noise, (n, SIDE, SIDE, 1), minval=-0.1, maxval=0.1)
    return jnp.where(upper == is_upper, 0.85, 0.15) + noise


def kinds():
    return 0.15 + 0.7 * np.stack([np.arange(SIDE) < SIDE // 2, np.arange(SIDE) >= SIDE // 2])


def distances(images):
    """From each kind, the root of the mean square over pixels: `[n]` → `[n, 2]`."""
    apart = np.asarray(images)[:, None, :, :, 0] - kinds()[None, :, :, None]
    return np.sqrt((apart**2).mean((2, 3)))


@pytest.mark.parametrize(
    "preset", [pytest.param(p, marks=[pytest.mark.all] if p in IN_ALL else []) for p in PRESETS]
)
def test_a_preset_finds_both_kinds(preset):
    declared, sizes, steps = PRESETS[preset]
    config = declared.config
    small = {"image_shape": (SIDE, SIDE, 1), "latent_size": 8, "ema_half_life": 2000}
    small["ema_half_life"] *= config.ema_half_life > 0
    architecture = dataclasses.replace(config.architecture, **sizes)
    algorithm = gan.make(dataclasses.replace(config, architecture=architecture, **small))

    def step(state, key):
        return algorithm.step(state, toys(key, BATCH * config.steps_d))

    @jax.jit
    def run(key):
        keys = jax.random.split(key, steps)
        before = algorithm.init(key)
        after, _ = jax.lax.scan(step, before, keys)
        return [algorithm.sample(state, key, 200) for state in (before, after)]

    before, after = map(distances, run(jax.random.key(0)))
    assert before.min(1).mean() > 0.3  # grey is 0.35 from either
    assert after.min(1).mean() < 0.25  # a toy itself is 0.06
    assert 0.2 < (after.argmin(1) == 0).mean() < 0.8
