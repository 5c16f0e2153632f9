"""What the Keras rows share: networks that start from our weights, and the tf.function loop.

Dimensions: B batch, Z noise, K steps.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from benchmarks.harness.ours import Layers, Task
from benchmarks.harness.turns import Row


def prepare_tensorflow(threads: int) -> None:
    """Sets the number of threads, which TensorFlow takes before its first operation, and the seed.

    Between operations it keeps its default pool.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.random.set_seed(0)


def network(layers: Layers, last: str | None) -> keras.Model:
    """A two-layer perceptron, ReLU and then `last`, that starts from our weights."""
    inputs, hidden = layers[0][0].shape
    outputs = layers[1][0].shape[1]
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((inputs,)), dense(hidden, "relu"), dense(outputs, last)])
    model.set_weights([array for layer in layers for array in layer])
    return model


def adam(params: Sequence[keras.Variable]) -> keras.optimizers.Optimizer:
    """Adam at 1e-3, ready for use in a tf.function.

    Keras adds its ε before the bias correction, where we and PyTorch add ours, 1e-8, after it:

        ε̂ = √(1 − β₂ᵗ) · 1e-8,  taken at t = 1, so that the first updates agree
    """
    optimiser = keras.optimizers.Adam(1e-3, epsilon=(1 - 0.999) ** 0.5 * 1e-8)
    optimiser.build(params)
    return optimiser


def function_row(
    task: Task,
    update: Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]],
    optimisers: Sequence[keras.optimizers.Optimizer],
    jit_compile: bool,
) -> Row:
    """`update` and its draws in one tf.function, called from a Python loop.

    Args:
      task: of the peers.
      update: `(x [B, 784], noise [B, Z]) -> losses, each []`; changes the networks.
      optimisers: whose iterations count.
      jit_compile: by XLA.
    """
    images = tf.constant(task.examples)

    @tf.function(jit_compile=jit_compile)
    def step():
        chosen = tf.random.uniform([task.batch_size], 0, len(task.examples), tf.int32)
        noise = tf.random.normal([task.batch_size, task.noise_size])
        return update(tf.gather(images, chosen), noise)

    @tf.function(jit_compile=jit_compile)
    def given_step(chosen, noise):
        return update(tf.gather(images, chosen), noise)

    def run(steps: int) -> None:
        for _ in range(steps):
            results = step()
        read(results)

    def losses(indices: np.ndarray, noise: np.ndarray) -> np.ndarray:
        steps = zip(tf.constant(indices), tf.constant(noise), strict=True)
        return np.array([read(given_step(chosen, z)) for chosen, z in steps])

    return Row(run, lambda: [int(optimiser.iterations) for optimiser in optimisers], losses)


def read(losses: Sequence[tf.Tensor]) -> list[float]:
    """The losses, once they are there."""
    return [float(loss) for loss in losses]
