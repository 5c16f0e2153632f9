"""Trains a VAE on images and reports its bound and its likelihood on held-out ones.

    python -m experiments.vae                       # the default preset, on 5,000 real digits
    python -m experiments.vae --preset=textbook     # the source article's VAE to the letter
    python -m experiments.vae --preset=iwae --dataset=mnist --samples=50
    python -m experiments.vae --preset=gated --dataset=fashion_mnist --prior=vamp
    python -m experiments.vae --images=FILE.npz     # or a folder of images
    python -m experiments.vae --preset=iwae --samples=50 --start_from=runs/a --workdir=runs/b

Run the same command again to continue a run that was stopped.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import vae
from aigc_jax.algorithm import Algorithm, State
from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from aigc_jax.vae import discrete
from experiments import images as shared
from experiments import launch
from experiments.experiment import Experiment, Task
from experiments.vae_discrete import DiscreteJudge
from experiments.vae_figures import meanings
from experiments.vae_judge import HELDOUT, TRAINING, Judge, binarised
from experiments.vae_options import DISCRETE, PRESETS, VaeOptions, to_config, to_discrete_config
from experiments.vae_pictures import pictures


def algorithm(options: VaeOptions, facts: dict) -> Algorithm:
    """The VAE that the options describe."""
    if options.preset in DISCRETE:
        return discrete.make(to_discrete_config(options, facts))
    return vae.make(to_config(options, facts))


def task(options: VaeOptions, images: Images, facts: dict, algorithm: Algorithm) -> Task:
    """Trains on the images; judges by what the model makes of held-out ones."""
    train = images.train
    if options.binarisation == "static":
        train = binarised(train, TRAINING)
    if options.preset in DISCRETE:
        codes = DiscreteJudge(images, to_discrete_config(options, facts), algorithm, HELDOUT)
        return Task(
            data=train,
            gather=shared.gather,
            examples=len(train),
            evaluate=codes.figures,
            references=codes.references,
            pictures=codes.pictures,
        )
    config = to_config(options, facts)
    grey = options.likelihood == "bernoulli" and options.binarisation == "none"
    judge = Judge(images, config, options.k, grey)
    labels = images.train_labels if config.classes else None
    return Task(
        data=train if labels is None else (train, np.int32(labels)),
        gather=shared.gather if labels is None else gather_labelled,
        examples=len(train),
        evaluate=judge.bound,
        references=judge.references,
        pictures=lambda state: pictures(state, judge, algorithm),
        costly=judge.likelihood,
        lists=judge.latents,
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
    # Imported here: it knows every launcher.
    from experiments.finished import open_run

    run = open_run(options.start_from)
    if run.experiment.name != EXPERIMENT.name:
        raise InputError(
            f"--start_from={options.start_from} holds a run of experiments.{run.experiment.name}"
        )
    found, wanted = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(params)}
        for params in (run.state.ema, state.params)
    )
    differ = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
    if differ:
        raise InputError(
            f"--start_from={options.start_from} is of other networks: they differ in "
            f"{len(differ)} arrays, the first of which is {differ[0]}"
        )
    return state._replace(params=run.state.ema, ema=jax.tree.map(jnp.copy, run.state.ema))


EXPERIMENT = Experiment(
    name="vae",
    title="Variational autoencoder",
    presets=PRESETS,
    load=shared.load,
    facts=shared.facts,
    algorithm=algorithm,
    task=task,
    sample=shared.sample,
    extendable=lambda options: not options.decay,
    begin=begin,
    meanings=meanings,
)

if __name__ == "__main__":
    launch.main(EXPERIMENT)
