"""The textbook's VAE, side by side: Keras, TensorFlow, PyTorch and this package.

    python -m benchmarks.textbook_vae
    python -m benchmarks.textbook_vae --rounds=21 --out=vae.json
    python -m benchmarks.textbook_vae --only='pytorch eager,ours (scan)'

The encoder is 784 → 128 ReLU → μ and log σ² of 2 latents, the decoder 2 → 128 ReLU → 784 logits;
batches of 128 real digits as grey values, float32, Adam at 1e-3, on the CPU with all its cores.
A step of every row:

    z = μ(x) + σ(x) ε,  ε ~ N(0, I)
    descend  mean [ Σ cross-entropy of the logits with x + KL(q(z|x) ‖ N(0, I)) ]

  keras train_on_batch     a keras.Model with its own train_step, called as the article calls Keras
  keras tf.function        the same Keras networks and optimiser, the step in one tf.function
  keras tf.function + XLA  the same with jit_compile=True
  pytorch eager            the step above, line by line
  pytorch compiled         with the loss, and so its gradient, under torch.compile
  ours (scan)              50 steps in one program, through aigc_jax.loop.make_dispatch
  ours (jit per step)      one step in one program, called from Python

All are checked to compute the same losses before they are timed. Times are in ms per step;
"/ ours" is a row's median over that of ours (scan). The peers come with
pip install 'aigc_jax[bench]'. It takes about two minutes on 2 cores.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from aigc_jax import parallel, vae
from benchmarks.harness import machine, ours, rows, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch

BATCH_SIZE = 128
LOSSES = ("negative_elbo_nats", "reconstruction_nats", "kl_nats")
ROWS = (
    "keras train_on_batch",
    "keras tf.function",
    "keras tf.function + XLA",
    "pytorch eager",
    "pytorch compiled",
    "ours (scan)",
    "ours (jit per step)",
)


def noise(state: vae.State, latent_size: int = vae.TEXTBOOK.config.latent_size) -> jax.Array:
    """The ε `[B, Z]` that `vae.step` draws from this state."""
    _, key_z = jax.random.split(jax.random.fold_in(state.key, state.step))
    zeros = jnp.zeros((BATCH_SIZE, latent_size))
    return vae.reparameterise(parallel.example_keys(key_z, BATCH_SIZE), zeros, zeros)


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    algorithm, images = vae.make(vae.TEXTBOOK), ours.digits()
    data = ours.image_data(images, BATCH_SIZE)
    check = ours.expected(algorithm, data, noise, LOSSES)
    params = ours.initial_state(algorithm).params
    task = ours.Task(
        examples=images.reshape(len(images), -1),
        batch_size=BATCH_SIZE,
        noise_size=vae.TEXTBOOK.config.latent_size,
        weights={name: ours.layers(params[name]) for name in ("encoder", "decoder")},
        threads=machine.threads(),
    )
    named = rows.factories(ROWS, task, algorithm, data, LOSSES, family="vae")
    return check, named


if __name__ == "__main__":
    side_by_side.main(__doc__, "Textbook VAE 784-128-2-128-784", prepare, ROWS, article=ROWS[0])
