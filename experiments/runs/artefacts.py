"""What a model makes at each evaluation, as files in WORKDIR/samples/."""

import numpy as np

from aigc_jax import storage
from aigc_jax.pictures import animation, image_grid
from aigc_jax.run_folder import RunFolder
from experiments.runs.experiment import Artefact

FEWEST_FRAMES = 3
SECONDS_PER_FRAME = 0.25


def write_artefact(folder: RunFolder, name: str, step: int, artefact: Artefact) -> None:
    """Writes images as NAME_STEP.png and text as NAME_STEP.txt."""
    stem = f"{name}_{step:07d}"
    if isinstance(artefact, str):
        folder.write(folder.samples / f"{stem}.txt", artefact)
    else:
        folder.write(folder.samples / f"{stem}.png", image_grid(np.asarray(artefact)))


def write_animation(folder: RunFolder) -> None:
    """Writes samples.gif, the samples of each evaluation in turn, where there are three or more."""
    paths = [folder.samples / f"samples_{record['step']:07d}.png" for record in folder.heldout()]
    with storage.told(folder.samples):
        frames = [path.read_bytes() for path in paths if path.exists()]
    if len(frames) >= FEWEST_FRAMES:
        folder.write(folder.samples / "samples.gif", animation(frames, SECONDS_PER_FRAME))
