"""Every experiment by name; start here with a run's folder whose experiment is not known."""

from typing import Any

from aigc_jax.errors import InputError
from experiments.families.classifier.experiment import EXPERIMENT as CLASSIFIER
from experiments.families.codec.experiment import EXPERIMENT as CODEC
from experiments.families.gan.experiment import EXPERIMENT as GAN
from experiments.families.lm.experiment import EXPERIMENT as LM
from experiments.families.prior.experiment import EXPERIMENT as PRIOR
from experiments.families.translate.experiment import EXPERIMENT as TRANSLATE
from experiments.families.vae.experiment import EXPERIMENT as VAE
from experiments.families.vq.experiment import EXPERIMENT as VQ
from experiments.runs.restore import Restored, config_of, restore

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        GAN,
        VAE,
        VQ,
        LM,
        TRANSLATE,
        CODEC,
        PRIOR,
        CLASSIFIER,
    )
}


def open_any(workdir: str, checkpoint: str = "newest", **changes: Any) -> Restored:
    """Restores a checkpoint of a run of any experiment; see `restore`.

    Raises:
      InputError: see `restore`, or the experiment is not known here.
    """
    name = config_of(workdir)["experiment"]
    if name not in EXPERIMENTS:
        raise InputError(f"workdir {workdir} holds a run of {name!r}, which is not known here")
    return restore(EXPERIMENTS[name], workdir, checkpoint, **changes)
