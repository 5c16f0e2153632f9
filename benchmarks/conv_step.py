"""The step of a convolutional model, side by side with PyTorch.

    python -m benchmarks.conv_step                      # a DCGAN of 28×28 pixels
    python -m benchmarks.conv_step --preset=conv_vae    # a VAE with residual blocks, 40 latents

The DCGAN is 100 → 7×7×128 → 14×14×64 → 28×28 and back to one logit, by 4×4 convolutions of stride 2
with batch normalisation, non-saturating. The VAE halves twice, to 7×7×64, with a residual block on
the grid each way. Batches of 128 real digits as grey values, float32, Adam, no averages of
parameters, on the CPU with all its cores.

  pytorch eager          the same networks and step, line by line
  pytorch channels-last  with the memory laid out as ours is
  pytorch compiled       channels last, with the losses, and so their gradients, under torch.compile
  ours (scan)            10 steps in one program, through aigc_jax.loop.make_dispatch
  ours (jit per step)    one step in one program, called from Python

All are checked to compute the same losses before they are timed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
from absl import flags

from aigc_jax import gan, vae
from aigc_jax.algorithm import Key
from benchmarks import textbook_gan, textbook_vae
from benchmarks.harness import machine, ours, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch

BATCH_SIZE = 128
STEPS_PER_DISPATCH = 10
ROWS = (
    "pytorch eager",
    "pytorch channels-last",
    "pytorch compiled",
    side_by_side.OURS,
    "ours (jit per step)",
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_enum("preset", "dcgan", ("dcgan", "conv_vae"), "Which model.", flag_values=values)


def off_the_kink(init: Callable[[Key], gan.State], key: Key) -> gan.State:
    """A first state in which D's first biases are 0.01.

    With a bias of 0, the output of D's first layer on an empty patch is exactly 0, where the leaky
    ReLU has no derivative: JAX takes 1 there and PyTorch 0.2, and both are right.
    """
    state = init(key)
    first = state.params_d["Convolution_0"]
    first = {**first, "bias": jnp.full_like(first["bias"], 0.01)}
    return state._replace(params_d={**state.params_d, "Convolution_0": first})


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    if arguments.preset == "dcgan":
        gan_config = dataclasses.replace(gan.DCGAN.config, ema_half_life=0.0)
        algorithm = gan.make(gan_config)
        algorithm = algorithm._replace(init=partial(off_the_kink, algorithm.init))
        noise, noise_size = textbook_gan.latents, gan_config.latent_size
        losses: tuple[str, ...] = textbook_gan.LOSSES
        state = ours.initial_state(algorithm)
        weights = {"g": state.params_g, "d": state.params_d}
        rates = gan_config.learning_rate_g, (gan_config.adam_b1, gan_config.adam_b2)
    else:
        vae_config = dataclasses.replace(vae.CONV.config, pixels=None, ema_decay=0.0)
        algorithm, losses = vae.make(vae_config), textbook_vae.LOSSES
        noise_size = vae_config.latent_size
        noise = partial(textbook_vae.noise, latent_size=noise_size)
        weights = ours.initial_state(algorithm).params
        rates = vae_config.learning_rate, (0.9, 0.999)
    images = ours.digits()
    data = ours.image_data(images, BATCH_SIZE)
    check = ours.expected(algorithm, data, noise, losses)
    task = ours.Task(
        examples=images.transpose(0, 3, 1, 2),  # [M, C, H, W], PyTorch's order
        batch_size=BATCH_SIZE,
        noise_size=noise_size,
        weights=weights,
        threads=machine.threads(),
    )

    def torch(channels_last: bool, compiled: bool) -> Row:
        row = getattr(machine.import_peer("peers.torch.conv"), f"{arguments.preset}_row")
        return row(task, *rates, channels_last, compiled)

    made = (
        lambda: torch(False, False),
        lambda: torch(True, False),
        lambda: torch(True, True),
        lambda: ours.scan_row(algorithm, data, losses, STEPS_PER_DISPATCH),
        lambda: ours.step_row(algorithm, data, losses),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    side_by_side.main(__doc__, "Convolutional model", prepare, ROWS, define=define_flags)
