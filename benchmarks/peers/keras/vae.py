"""The textbook's VAE in Keras: a model with its own `train_step`, and one step in a tf.function."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.harness import keras_row
from benchmarks.harness.ours import Task
from benchmarks.harness.turns import Row


class VAE(keras.Model):
    """Encoder and decoder, trained by one step down the gradient of the mean negative ELBO."""

    def __init__(self, task: Task):
        super().__init__()
        self.encode = keras_row.network(task.weights["encoder"], None)
        self.decode = keras_row.network(task.weights["decoder"], None)
        self.noise_shape = [task.batch_size, task.noise_size]

    def update(self, x: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The step on a batch `[B, 784]` and ε `[B, Z]`; −ELBO and its two terms, means in nats."""
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(self.encode(x), 2, axis=1)
            logits = self.decode(mean + tf.exp(0.5 * log_variance) * noise)
            cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
            reconstruction = tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=1))
            divergence = tf.square(mean) + tf.math.expm1(log_variance) - log_variance
            kl = 0.5 * tf.reduce_mean(tf.reduce_sum(divergence, axis=1))
            negative_elbo = reconstruction + kl
        params = self.trainable_variables
        self.optimizer.apply(tape.gradient(negative_elbo, params), params)
        return negative_elbo, reconstruction, kl

    def train_step(self, data: tuple[tf.Tensor, None, None]) -> dict[str, tf.Tensor]:
        """The step of `train_on_batch(x)`, given x without targets or weights."""
        losses = self.update(data[0], tf.random.normal(self.noise_shape))
        return dict(zip(("loss", "reconstruction", "kl"), losses, strict=True))


def make_vae(task: Task) -> VAE:
    """The model and its optimiser."""
    keras_row.prepare_tensorflow(task.threads)
    vae = VAE(task)
    vae.compile(keras_row.adam(vae.trainable_variables), run_eagerly=False)
    return vae


def function_row(task: Task, jit_compile: bool) -> Row:
    """The step in one tf.function, with or without XLA."""
    vae = make_vae(task)
    return keras_row.function_row(task, vae.update, (vae.optimizer,), jit_compile)


def article_row(task: Task) -> Row:
    """A Python loop over Keras's `train_on_batch`, compiled by XLA where Keras sees fit."""
    vae = make_vae(task)
    rng = np.random.default_rng(0)
    given_step = tf.function(vae.update)

    def run(steps: int) -> None:
        for _ in range(steps):
            chosen = rng.integers(len(task.examples), size=task.batch_size)
            vae.train_on_batch(task.examples[chosen])  # returns numbers, so it waits for them

    def losses(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        steps = zip(indices, noise, strict=True)
        return np.array([keras_row.read(given_step(task.examples[i], z)) for i, z in steps])

    return Row(run, lambda: [int(vae.optimizer.iterations)], losses)
