"""Time and energy until a quality is reached, beside a training loop of PyTorch's users.

    python -m benchmarks.end_to_end --task=text
    python -m benchmarks.end_to_end --task=text --text=FILE
    python -m benchmarks.end_to_end --task=images --target=15

  text    nanoGPT's loop with its options for a CPU (4 layers of 128, 12 windows of 64, 2,000 steps
          of AdamW, peak rate 1e-3), but with biases and without decay of embeddings, PyTorch eager;
          ours is experiments.lm as it is by default. The quality is the loss per character of the
          whole held-out text that nanoGPT's loop ends at.
  images  R3GAN with an averaged generator, PyTorch eager, channels last; ours is experiments.gan
          as it is by default, which trains the same networks alike. The quality is --target, an FCD
          to the 500 held-out digits of mnist5k.

Each trains for a while, is evaluated, and so on, until it is as good. Only training counts, with
its compilation and without initialisation: seconds, seconds of CPU cores, and joules of the first
processor where Linux shows its counter (RAPL). On the CPU with all its cores, float32, one seed.
Both R3GANs start from the same weights, and so do nanoGPT's loop and ours but for the seed.
"""

import gc
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from aigc_jax import gan, transformer
from aigc_jax.data.batches import shuffled, windows
from aigc_jax.data.images import load_images
from aigc_jax.data.text import load_text
from aigc_jax.data.tokenizers import CharTokenizer
from aigc_jax.errors import InputError
from aigc_jax.loop import make_dispatch
from aigc_jax.strict_json import dumps
from benchmarks import conv_step, lm_step
from benchmarks.harness import machine, ours, side_by_side
from benchmarks.harness.turns import REST, Row
from experiments.cli import launch
from experiments.cli.output import check_out, write_out
from experiments.families.lm.batching import windows_of
from experiments.fidelity.evaluator import Evaluator, quantise
from experiments.fidelity.features import feature_network

COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
PEER_STEPS = 2000  # of nanoGPT's loop
STEPS = 10  # of a dispatch of ours
EVERY = {"text": 50, "images": 250}  # steps between two evaluations


class Loop(NamedTuple):
    """A training that can be stopped to be evaluated.

    Attributes:
      train: `(steps)`.
      quality: less is better.
      every: steps between two evaluations.
      most: steps at which it ends.
    """

    train: Callable[[int], None]
    quality: Callable[[], float]
    every: int
    most: int


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_enum("task", "text", ("text", "images"), "What is trained.", flag_values=values)
    flags.DEFINE_string(
        "text", None, "A text file. Default: Python's documentation.", flag_values=values
    )
    flags.DEFINE_float("target", 15.0, "FCD, for images.", lower_bound=0.0, flag_values=values)
    flags.DEFINE_string("out", None, "A .json file for all that is printed.", flag_values=values)


def joules() -> float | None:
    """What the processor has used since some time; None where that cannot be read."""
    try:
        return int(COUNTER.read_text()) / 1e6
    except (OSError, ValueError):
        return None


def race(name: str, loop: Loop, target: float | None) -> dict[str, Any]:
    """Trains until the quality is at most the target, or to the end, and prints every evaluation.

    The first dispatch, which compiles, counts.
    """
    seconds = cores = energy = 0.0
    readable, done, curve = joules() is not None, 0, []
    while done < loop.most:
        gc.collect()
        time.sleep(REST)  # for the threads of the evaluation's framework
        before = time.perf_counter(), sum(os.times()[:2]), joules()
        loop.train(loop.every)
        seconds += time.perf_counter() - before[0]
        cores += sum(os.times()[:2]) - before[1]
        if (now := joules()) is not None and before[2] is not None:
            energy += max(now - before[2], 0.0)  # the counter begins again now and then
        done += loop.every
        quality = loop.quality()
        curve.append((done, seconds, quality))
        print(f"{name}: step {done}, {seconds:.1f} s, {quality:.4g}", flush=True)
        if target is not None and quality <= target:
            break
    return {
        "steps": done,
        "seconds": seconds,
        "core_seconds": cores,
        "joules": energy if readable else None,
        "quality": curve[-1][2],
        "reached": target is None or curve[-1][2] <= target,
        "curve": curve,
    }


def our_loop(
    algorithm: Any, data: ours.Data, quality: Callable[[Any], float], every: int, most: int
) -> Loop:
    """Ours, through `loop.make_dispatch`, `STEPS` in a program."""
    state = jax.jit(algorithm.init)(jax.random.key(0))
    dispatch, arrays = make_dispatch(algorithm.step, data.gather), jax.device_put(data.arrays)
    order, done = shuffled(0, data.examples, data.batch_size), 0

    def train(steps: int) -> None:
        nonlocal state, done
        for start in range(done, done + steps, STEPS):
            indices = np.stack([order(s) for s in range(start, start + STEPS)])
            state, _ = dispatch(state, arrays, jax.device_put(indices))
        done += steps
        jax.block_until_ready(state)

    return Loop(train, lambda: quality(state), every, most)


def peer_loop(row: Row, quality: Callable[[], float], every: int, most: int) -> Loop:
    """A peer's."""
    return Loop(row.run, quality, every, most)


def text_loops(file: str | None) -> dict[str, Loop]:
    """nanoGPT's loop first, then ours.

    Raises:
      InputError: the file cannot be read, or is too short.
    """
    text = load_text("python_docs", file)
    coder = CharTokenizer.of(str(text.train) + str(text.heldout))
    tokens, heldout = coder.encode(str(text.train)), coder.encode(str(text.heldout))
    recipe = {"b2": 0.99, "weight_decay": 0.1, "clip_norm": 1.0}
    config, batch_size, _ = lm_step.config_of("nano", coder.vocabulary_size, **recipe)
    if len(tokens) <= config.context:
        raise InputError(f"--text={file}: {len(tokens)} characters to train on are too few")
    task = ours.Task(
        examples=np.lib.stride_tricks.sliding_window_view(
            tokens, config.context + 1, writeable=True
        ),
        batch_size=batch_size,
        noise_size=0,
        weights=ours.initial_state(transformer.make(config)).params,
        threads=machine.threads(),
    )
    peer = machine.import_peer("peers.torch.end_to_end")
    row, nll = peer.nanogpt(task, config, PEER_STEPS, *windows(heldout, config.context))

    preset = transformer.NANO
    own = preset.configured(vocabulary_size=coder.vocabulary_size, decay_steps=preset.run.steps)
    algorithm, networks = transformer.make(own), transformer.networks_of(own)
    reading = windows_of(tokens, own.context)
    data = ours.Data(jnp.asarray(tokens), reading.gather, reading.examples, preset.run.batch_size)

    def quality(state: Any) -> float:
        return transformer.heldout_nll(state.eval_params, heldout, networks=networks)

    return {
        "nanoGPT's loop, PyTorch": peer_loop(row, nll, 250, PEER_STEPS),
        "ours": our_loop(algorithm, data, quality, EVERY["text"], preset.run.steps),
    }


def image_loops() -> dict[str, Loop]:
    """R3GAN in PyTorch first, then ours."""
    images, digits = load_images("mnist5k"), ours.digits()
    unset = dict.fromkeys(("data_dir", "images", "workdir", "classifier"))
    network = feature_network(SimpleNamespace(dataset="mnist5k", **unset), images)
    evaluator = Evaluator(images, network)

    def fcd(drawn: np.ndarray) -> float:
        return evaluator.metrics(quantise(drawn))["fcd"]

    preset = gan.R3GAN
    config, batch_size = preset.config, preset.run.batch_size
    algorithm = gan.make(preset)
    algorithm = algorithm._replace(init=partial(conv_step.off_the_kink, algorithm.init))
    model = conv_step.gan_model(preset, batch_size, ("loss_d",))
    task = ours.Task(
        examples=digits.transpose(0, 3, 1, 2),
        batch_size=batch_size,
        noise_size=config.latent_size,
        weights=model.weights,
        threads=machine.threads(),
    )
    peer = machine.import_peer("peers.torch.end_to_end")
    row, draw = peer.r3gan(task, *model.adam, config.ema_half_life)
    latents = np.random.default_rng(0).normal(size=(evaluator.count, config.latent_size))

    def quality(state: Any) -> float:
        drawn = algorithm.sample(state, jax.random.key(1), evaluator.count)
        return fcd(np.asarray(drawn))

    data = ours.image_data(digits, batch_size)
    most = preset.run.steps
    return {
        "R3GAN, PyTorch": peer_loop(
            row, lambda: fcd(draw(np.float32(latents))), EVERY["images"], most
        ),
        "ours": our_loop(algorithm, data, quality, EVERY["images"], most),
    }


def compare(arguments: launch.Arguments) -> dict[str, Any]:
    """Both loops, one after the other, in a format for JSON."""
    if arguments.task == "text":
        loops, target = text_loops(arguments.text), None
    else:
        loops, target = image_loops(), arguments.target
    results: dict[str, dict[str, Any]] = {}
    for name, loop in loops.items():
        results[name] = race(name, loop, target)
        if target is None:
            target = results[name]["quality"]
    return {"task": arguments.task, "target": target, **machine.metadata(), "rows": results}


def command(arguments: launch.Arguments) -> None:
    """Does what the flags ask for."""
    out = check_out(arguments.out) if arguments.out else None
    machine.hold_to("cpu")
    jax.config.update("jax_enable_compilation_cache", False)
    result = side_by_side.guarded(lambda: compare(arguments))
    print(f"\n{result['cpu']}, {result['cores']} cores, {result['date']}")
    print(f"| until {result['target']:.4g} | reached | steps | seconds | core-seconds | joules |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, row in result["rows"].items():
        energy = "–" if row["joules"] is None else f"{row['joules']:.0f}"
        reached = "" if row["reached"] else " (not reached)"
        print(
            f"| {name} | {row['quality']:.4g}{reached} | {row['steps']} | {row['seconds']:.1f} "
            f"| {row['core_seconds']:.1f} | {energy} |"
        )
    if out:
        write_out(out, dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    launch.run(__doc__, define_flags, command, device=False)
