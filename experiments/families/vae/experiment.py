"""The VAE on images, as an experiment."""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.data import images as shared
from experiments.data.images import TRAINING, binarised
from experiments.families.vae.artefacts import CAPTIONS, artefacts
from experiments.families.vae.descriptions import of_vae
from experiments.families.vae.evaluator import Evaluator
from experiments.families.vae.options import PRESETS, VaeOptions, to_config
from experiments.runs.experiment import Experiment, Task
from experiments.runs.restore import restore


def algorithm(options: VaeOptions, metadata: dict) -> Algorithm:
    """The VAE that the options describe."""
    return vae.make(to_config(options, metadata))


def task(options: VaeOptions, images: Images, metadata: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; evaluates on held-out ones."""
    train = images.train
    if options.binarisation == "static":
        train = binarised(train, TRAINING)
    config = to_config(options, metadata)
    grey = config.likelihood is vae.BERNOULLI and options.binarisation == "none"
    evaluator = Evaluator(images, config, options.k, grey)
    labels = images.train_labels if config.classes else None
    return Task(
        data=train if labels is None else (train, np.int32(labels)),
        gather=shared.gather if labels is None else gather_labelled,
        examples=len(train),
        evaluate=evaluator.bound,
        baselines=evaluator.baselines,
        artefacts=lambda state: artefacts(state, evaluator, algorithm),
        final_metrics=evaluator.likelihood,
        vectors=evaluator.latents,
    )


def gather_labelled(data: tuple[jax.Array, jax.Array], indices: jax.Array) -> vae.Batch:
    """A batch of images with their labels."""
    return vae.Batch(*shared.gather_labelled(data, indices))


def begin(options: VaeOptions, state: State) -> State:
    """The state with the averaged parameters of the run that --start_from names.

    That run is read when this one begins, and never again: the state is saved before its first
    step.

    Raises:
      InputError: the folder holds no VAE, or one of other networks.
    """
    if options.start_from is None:
        return state
    run = restore(EXPERIMENT, options.start_from)
    found, wanted = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(params)}
        for params in (run.state.ema, state.params)
    )
    differ = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
    if differ:
        raise InputError(
            f"--start_from={options.start_from} has other networks: they differ in "
            f"{len(differ)} arrays, the first of which is {differ[0]}"
        )
    return state._replace(params=run.state.ema, ema=jax.tree.map(jnp.copy, run.state.ema))


EXPERIMENT = Experiment(
    name="vae",
    title="Variational autoencoder",
    presets=PRESETS,
    load=shared.load,
    metadata=shared.metadata,
    algorithm=algorithm,
    task=task,
    descriptions=of_vae,
    captions=CAPTIONS,
    sample=shared.sample,
    extendable=lambda options: not options.decay,
    begin=begin,
)
