"""Codecs that need no training, as if they were restored from a run.

A code is a digit of the first value of its block, to the base 11: the first stage's is the highest.
"""

from types import SimpleNamespace

import jax.numpy as jnp

CODES = 11
SPANS = {"image": (2, 2), "audio": (64,), "video": (2, 2, 2)}
SIDES = {"image": (6, 5), "audio": (1000,), "video": (5, 6, 7)}
GRIDS = {"image": (3, 3), "audio": (16,), "video": (3, 3, 4)}
STAGES = {"image": 1, "audio": 2, "video": 1}

# What of a continued video is measured; `prediction_` stands before each.
OF_PREDICTIONS = [
    "mse_summed",
    "psnr_db",
    "ssim",
    "ssim_uniform",
    "mse_summed_best_of_10",
    "mse_summed_mean_of_10",
]


def codec_of(medium):
    """The codec of a medium, for blocks of `SPANS`."""
    spans, stages = SPANS[medium], STAGES[medium]

    def grid(sides):
        return tuple(-(-side // span) for side, span in zip(sides, spans, strict=True))

    def encode(coder, signals):
        first = signals[:, *(slice(None, None, span) for span in spans), 0] * coder.params
        level = jnp.abs(first) * CODES  # of sounds, the sign is lost
        codes = []
        for _ in range(stages):
            digit = jnp.clip(jnp.floor(level), 0, CODES - 1)
            codes.append(digit.astype(jnp.int32))
            level = CODES * (level - digit)
        return jnp.stack(codes, axis=-1)

    def decode(coder, codes, sides):
        scales = CODES ** -jnp.arange(1.0, codes.shape[-1] + 1)
        signals = jnp.sum(codes * scales.reshape(*[1] * (codes.ndim - 1), -1), -1) / coder.params
        for axis, (side, span) in enumerate(zip(sides, spans, strict=True), 1):
            signals = jnp.repeat(signals, span, axis).take(jnp.arange(side), axis)
        return jnp.stack([signals] * (3 if medium == "image" else 1), axis=-1)

    return SimpleNamespace(
        encode=encode,
        decode=decode,
        networks=SimpleNamespace(grid=grid),
        quantiser=SimpleNamespace(codes=CODES, stages=stages),
    )


def run_of(medium, gain=1.0):
    """What `restore` returns, as far as it is used; of another gain it is another codec."""
    metadata = {
        "medium": medium,
        "sides": list(SIDES[medium]),
        "channels": 3 if medium == "image" else 1,
        "rate": {"image": None, "audio": 8000, "video": 8}[medium],
        "attributes": [],
    }
    state = SimpleNamespace(eval_params=jnp.float32(gain), quantiser=())
    return SimpleNamespace(algorithm=codec_of(medium), state=state, metadata=metadata)
