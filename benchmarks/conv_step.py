"""The step of a convolutional model, side by side with PyTorch.

    python -m benchmarks.conv_step                      # a DCGAN of 28×28 pixels
    python -m benchmarks.conv_step --preset=conv_vae    # a VAE with residual blocks, 40 latents
    python -m benchmarks.conv_step --preset=ladder      # a VAE of four layers of latents
    python -m benchmarks.conv_step --preset=r3gan       # what experiments.gan trains by default
    python -m benchmarks.conv_step --preset=vq          # what experiments.vq does
    python -m benchmarks.conv_step --preset=classifier  # what experiments.classifier does

The DCGAN is 100 → 7×7×128 → 14×14×64 → 28×28 and back to one logit, by 4×4 convolutions of stride 2
with batch normalisation, non-saturating. The VAE halves twice, to 7×7×64, with a residual block on
the grid each way. The ladder is the preset without its warm-up, with priors and posteriors that
differ from the start, so that layers on either side of the free nats are checked. R3GAN is the
preset, with its two gradient penalties at every step. The VQ-VAE revives no codes and the
classifier neither shifts images nor drops features, as each framework would do that at random.
Batches of 128 real digits as grey values, 64 of R3GAN and the VQ-VAE, float32, Adam at a constant
rate, no averages of parameters, on the CPU with all its cores.

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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

from aigc_jax import classifier, gan, parallel, vae, vq
from aigc_jax.algorithm import Key
from aigc_jax.data.images import load_images
from aigc_jax.settings import Preset
from benchmarks import textbook_gan, textbook_vae
from benchmarks.harness import machine, ours, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch

STEPS_PER_DISPATCH = 10
ROWS = (
    "pytorch eager",
    "pytorch channels-last",
    "pytorch compiled",
    side_by_side.OURS,
    "ours (jit per step)",
)


class Model(NamedTuple):
    """An algorithm, and what a peer needs to do the same.

    Attributes:
      batch_size: B.
      noise: `(state) -> [B, Z]`, what the step from this state draws.
      noise_size: Z.
      losses: names in the algorithm's `Info`.
      weights: the first state's parameters.
      adam: the rate and β₁, β₂.
      peer: the module in peers/torch that has the rows.
      labelled: whether the step takes the digits' classes.
    """

    algorithm: ours.Trained
    batch_size: int
    noise: Callable[[Any], jax.Array]
    noise_size: int
    losses: tuple[str, ...]
    weights: Any
    adam: tuple[float, tuple[float, float]]
    peer: str = "conv"
    labelled: bool = False


def off_the_kink(init: Callable[[Key], gan.State], key: Key) -> gan.State:
    """A first state in which D's first biases are 0.01.

    With a bias of 0, the output of D's first layer on an empty patch is exactly 0, where the leaky
    ReLU has no derivative: JAX takes 1 there and PyTorch 0.2, and both are right.
    """
    state = init(key)
    first = state.params_d["Convolution_0"]
    first = {**first, "bias": jnp.full_like(first["bias"], 0.01)}
    return state._replace(params_d={**state.params_d, "Convolution_0": first})


def gan_model(preset: Preset[gan.Config], batch_size: int, losses: tuple[str, ...]) -> Model:
    """A preset without its averaged generator."""
    config = dataclasses.replace(preset.config, ema_half_life=0.0)
    algorithm = gan.make(config)
    algorithm = algorithm._replace(init=partial(off_the_kink, algorithm.init))
    state = ours.initial_state(algorithm)
    return Model(
        algorithm,
        batch_size,
        partial(textbook_gan.latents, batch_size=batch_size, latent_size=config.latent_size),
        config.latent_size,
        losses,
        {"g": state.params_g, "d": state.params_d},
        (config.learning_rate_g, (config.adam_b1, config.adam_b2)),
    )


def conv_vae() -> Model:
    """The preset `conv` on grey values, without its averages."""
    config = dataclasses.replace(vae.CONV.config, pixels=None, ema_decay=0.0)
    algorithm = vae.make(config)
    return Model(
        algorithm,
        128,
        partial(textbook_vae.noise, latent_size=config.latent_size),
        config.latent_size,
        textbook_vae.LOSSES,
        ours.initial_state(algorithm).params,
        (config.learning_rate, (0.9, 0.999)),
    )


def apart(init: Callable[[Key], vae.State], key: Key) -> vae.State:
    """A first state of a ladder in which no two layers' q and p are the same, as they are at first.

    What is 0 would be equal in any program.
    """
    state = init(key)
    down = dict(state.params["down"]["params"])
    kernels = [name for name in down if name.startswith(("prior", "posterior"))]
    for number, name in enumerate(sorted(kernels)):
        drawn = jax.random.normal(jax.random.key(number), down[name]["kernel"].shape)
        # In two layers of four q is far from p, and its KL above the free nats.
        size = 0.002 if name.endswith(("_0", "_3")) else 0.05
        down[name] = {**down[name], "kernel": down[name]["kernel"] + size * drawn}
    return state._replace(params={**state.params, "down": {"params": down}})


def ladder_noise(shapes: tuple[tuple[int, ...], ...], state: vae.State) -> jax.Array:
    """The ε of all layers, `[B, Z]`, that `vae.step` draws from this state."""
    _, key_z = jax.random.split(jax.random.fold_in(state.key, state.step))
    keys = parallel.example_keys(key_z, 128)
    drawn = []
    for number, shape in enumerate(shapes):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        zeros = jnp.zeros((128, *shape))
        drawn.append(vae.reparameterise(own, zeros, zeros).reshape(128, -1))
    return jnp.concatenate(drawn, axis=1)


def ladder() -> Model:
    """The preset on grey values, without its averages and its warm-up."""
    config = dataclasses.replace(vae.LADDER.config, pixels=None, ema_decay=0.0, warmup_steps=0)
    algorithm = vae.make(config)
    algorithm = algorithm._replace(init=partial(apart, algorithm.init))
    shapes = tuple((side, side, config.latent_size) for side in (7, 7, 14, 14))
    return Model(
        algorithm,
        128,
        partial(ladder_noise, shapes),
        vae.networks_of(config).latent_size,
        ("loss_nats", "reconstruction_nats", "kl_nats"),
        ours.initial_state(algorithm).params,
        (config.learning_rate, (0.9, 0.999)),
        peer="ladder",
    )


def no_noise(batch_size: int, state: Any) -> jax.Array:
    """Of a step that draws nothing: `[B, 0]`."""
    return jnp.zeros((batch_size, 0))


def vq_vae(side: int = 28) -> Model:
    """The preset `vq` without its averages of parameters, and with no code revived.

    Args:
      side: of the images.
    """
    decay, usual = 0.95, vq.quantiser_of(vq.VQ)
    book = vq.vector_quantiser(usual.codes, usual.features, decay=decay, revive_below=0.0)
    config = dataclasses.replace(
        vq.VQ.config, quantiser=book, ema_decay=0.0, image_shape=(side, side, 1)
    )
    algorithm, batch_size = vq.make(config), vq.VQ.run.batch_size
    state = ours.initial_state(algorithm)
    return Model(
        algorithm,
        batch_size,
        partial(no_noise, batch_size),
        0,
        ("reconstruction_nats", "commitment"),
        (state.params, state.quantiser.vectors, decay),
        (config.learning_rate, (0.9, 0.999)),
        peer="vq",
    )


def digit_classifier() -> Model:
    """The preset without shifts, dropout, decay and averages, at its peak rate."""
    config = dataclasses.replace(
        classifier.DEFAULT.config,
        decay_steps=None,
        weight_decay=0.0,
        reach=0,
        dropout=0.0,
        ema_decay=0.0,
    )
    algorithm, batch_size = classifier.make(config), classifier.DEFAULT.run.batch_size
    return Model(
        algorithm,
        batch_size,
        partial(no_noise, batch_size),
        0,
        ("loss_nats",),
        ours.initial_state(algorithm).params,
        (config.learning_rate, (0.9, config.adam_b2)),
        peer="classifier",
        labelled=True,
    )


MODELS: Mapping[str, Callable[[], Model]] = {
    "dcgan": partial(gan_model, gan.DCGAN, 128, textbook_gan.LOSSES),
    "conv_vae": conv_vae,
    "ladder": ladder,
    "r3gan": partial(gan_model, gan.R3GAN, 64, (*textbook_gan.LOSSES, "penalty_d")),
    "vq": vq_vae,
    "classifier": digit_classifier,
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this comparison."""
    flags.DEFINE_enum("preset", "dcgan", [*MODELS], "Which model.", flag_values=values)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    preset = arguments.preset
    model, images = MODELS[preset](), ours.digits()
    labels = load_images("mnist5k").train_labels if model.labelled else None
    data = ours.image_data(images, model.batch_size, labels)
    check = ours.expected(model.algorithm, data, model.noise, model.losses)
    task = ours.Task(
        examples=images.transpose(0, 3, 1, 2),  # [M, C, H, W], PyTorch's order
        batch_size=model.batch_size,
        noise_size=model.noise_size,
        weights=model.weights,
        threads=machine.threads(),
        labels=labels,
    )

    def torch(channels_last: bool, compiled: bool) -> Row:
        peer = machine.import_peer(f"peers.torch.{model.peer}")
        row = getattr(peer, f"{preset}_row")
        return row(task, *model.adam, channels_last, compiled)

    made = (
        lambda: torch(False, False),
        lambda: torch(True, False),
        lambda: torch(True, True),
        lambda: ours.scan_row(model.algorithm, data, model.losses, STEPS_PER_DISPATCH),
        lambda: ours.step_row(model.algorithm, data, model.losses),
    )
    return check, dict(zip(ROWS, made, strict=True))


if __name__ == "__main__":
    side_by_side.main(__doc__, "Convolutional model", prepare, ROWS, define=define_flags)
