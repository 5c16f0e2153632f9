"""The textbook's GAN, side by side: the source article's loop, TensorFlow, PyTorch, this package.

    python -m benchmarks.textbook_gan
    python -m benchmarks.textbook_gan --rounds=21 --out=gan.json
    python -m benchmarks.textbook_gan --only='pytorch eager,ours (scan)'

G is 100 → 128 ReLU → 784 sigmoid, D is 784 → 128 ReLU → 1; batches of 128 real digits, float32,
Adam at 1e-3 for both, on the CPU with all its cores. A step of every row but the first:

    z ~ N(0, I),  x̃ = G(z)
    D descends  mean s(−D(x)) + s(D(x̃)),  s(a) = log(1 + eᵃ)
    G descends  mean −s(D(x̃)),  through the new D, on the same x̃

  keras article loop       the article's own program: generator.predict, then train_on_batch of D
                           and of the combined model
  keras tf.function        Keras networks and optimisers, the step above in one tf.function
  keras tf.function + XLA  the same with jit_compile=True
  pytorch eager            the step above, line by line
  pytorch compiled         with G and both losses, and so their gradients, under torch.compile
  ours (scan)              50 steps in one program, through aigc_jax.loop.make_dispatch
  ours (jit per step)      one step in one program, called from Python

All but the first are checked to compute the same losses before they are timed. Times are in ms
per step; "/ ours" is a row's median over that of ours (scan). The peers come with
pip install 'aigc_jax[bench]'. It takes about two minutes on 2 cores.
"""

from collections.abc import Callable, Mapping

import jax

from aigc_jax import gan
from benchmarks.harness import machine, ours, rows, side_by_side
from benchmarks.harness.turns import Check, Row
from experiments.cli import launch

BATCH_SIZE = 128
LOSSES = ("loss_d", "loss_g")
ROWS = (
    "keras article loop",
    "keras tf.function",
    "keras tf.function + XLA",
    "pytorch eager",
    "pytorch compiled",
    "ours (scan)",
    "ours (jit per step)",
)


def latents(
    state: gan.State,
    batch_size: int = BATCH_SIZE,
    latent_size: int = gan.TEXTBOOK.config.latent_size,
) -> jax.Array:
    """The z `[B, Z]` that `gan.step` draws from this state."""
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 0)
    return gan.draw(key, batch_size, latent_size).z


def prepare(arguments: launch.Arguments) -> tuple[Check, Mapping[str, Callable[[], Row]]]:
    """What every row must compute, and a factory of each, which imports the row's framework."""
    algorithm, images = gan.make(gan.TEXTBOOK), ours.digits()
    data = ours.image_data(images, BATCH_SIZE)
    check = ours.expected(algorithm, data, latents, LOSSES)
    state = ours.initial_state(algorithm)
    task = ours.Task(
        examples=images.reshape(len(images), -1),
        batch_size=BATCH_SIZE,
        noise_size=gan.TEXTBOOK.config.latent_size,
        weights={"g": ours.layers(state.params_g), "d": ours.layers(state.params_d)},
        threads=machine.threads(),
    )
    named = rows.factories(ROWS, task, algorithm, data, LOSSES, family="gan")
    return check, named


if __name__ == "__main__":
    side_by_side.main(
        __doc__, "Textbook GAN 100-128-784, 784-128-1", prepare, ROWS, article=ROWS[0]
    )
