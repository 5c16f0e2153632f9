"""The textbook's GAN in Keras: the source article's own loop, and one step in a tf.function."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.harness import keras_row
from benchmarks.harness.ours import Task
from benchmarks.harness.turns import Mismatch, Row


def function_row(task: Task, jit_compile: bool) -> Row:
    """D's step on real and fake, then G's on the same fakes through the new D, in one tf.function.

    Args:
      task: of the peers.
      jit_compile: by XLA.
    """
    keras_row.prepare_tensorflow(task.threads)
    generate = keras_row.network(task.weights["g"], "sigmoid")
    discriminate = keras_row.network(task.weights["d"], None)
    params_g, params_d = generate.trainable_variables, discriminate.trainable_variables
    adam_g, adam_d = keras_row.adam(params_g), keras_row.adam(params_d)
    softplus, mean = tf.nn.softplus, tf.reduce_mean

    def update(real: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape_g:
            fakes = generate(z)
            with tape_g.stop_recording():
                with tf.GradientTape() as tape_d:
                    losses_d = softplus(-discriminate(real)) + softplus(discriminate(fakes))
                    loss_d = mean(losses_d)
                adam_d.apply(tape_d.gradient(loss_d, params_d), params_d)
            loss_g = -mean(softplus(discriminate(fakes)))
        adam_g.apply(tape_g.gradient(loss_g, params_g), params_g)
        return loss_d, loss_g

    return keras_row.function_row(task, update, (adam_d, adam_g), jit_compile)


def article_row(task: Task) -> Row:
    """The article's loop: `predict`, `train_on_batch` of D, `train_on_batch` of G through D.

        D descends  mean of −log D(x) and −log(1 − D(G(z))),  x and G(z) in one batch of 2B
        G descends  mean −log D(G(z)),  z as before

    Probabilities and Keras's own losses. All else is Keras's default: `predict` in batches of 32,
    Adam with ε = 1e-7, compilation by XLA where Keras sees fit.

    Raises:
      Mismatch: a player's update changed the other player too.
    """
    keras_row.prepare_tensorflow(task.threads)
    rng = np.random.default_rng(0)
    generator = keras_row.network(task.weights["g"], "sigmoid")
    discriminator = keras_row.network(task.weights["d"], "sigmoid")
    discriminator.compile("adam", "binary_crossentropy")
    combined = keras.Sequential([generator, discriminator])
    combined.compile("adam", "binary_crossentropy")
    ones, zeros = np.ones((task.batch_size, 1)), np.zeros((task.batch_size, 1))
    labels = np.concatenate([ones, zeros])

    # Keras 3 reads `trainable` when it traces a model's training step, at that model's first batch,
    # not when it compiles the model: so it is set before each batch, the first included.
    def update_discriminator(noise: np.ndarray) -> None:
        fakes = generator.predict(noise, verbose=0)
        real = task.examples[rng.integers(len(task.examples), size=task.batch_size)]
        discriminator.trainable = True
        discriminator.train_on_batch(np.concatenate([real, fakes]), labels)

    def update_generator(noise: np.ndarray) -> None:
        discriminator.trainable = False
        combined.train_on_batch(noise, ones)

    def draw() -> np.ndarray:
        return rng.normal(0, 1, (task.batch_size, task.noise_size))

    def run(steps: int) -> None:
        for _ in range(steps):
            noise = draw()
            update_discriminator(noise)
            update_generator(noise)

    for _ in range(2):  # the first traces, the second runs the traced step
        _refuse_leaks(lambda: update_discriminator(draw()), discriminator, generator)
        _refuse_leaks(lambda: update_generator(draw()), generator, discriminator)
    optimisers = discriminator.optimizer, combined.optimizer
    return Row(run, lambda: [int(adam.iterations) for adam in optimisers], losses=None)


def _refuse_leaks(update: Callable[[], None], moves: keras.Model, rests: keras.Model) -> None:
    """Checks that an update changes every weight array of one player and none of the other."""
    before = [player.get_weights() for player in (moves, rests)]
    update()
    changed = [
        [bool(np.any(old != new)) for old, new in zip(arrays, player.get_weights(), strict=True)]
        for arrays, player in zip(before, (moves, rests), strict=True)
    ]
    if not all(changed[0]) or any(changed[1]):
        raise Mismatch(f"keras article loop: weights changed by an update of one player: {changed}")
