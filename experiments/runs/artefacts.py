"""What a model produces at each evaluation, as files in WORKDIR/samples/."""

from aigc_jax import storage
from aigc_jax.artefacts import Animation, Artefact, Picture
from aigc_jax.run_folder import RunFolder

FEWEST_FRAMES = 3
SECONDS_PER_FRAME = 0.25


def write_artefact(folder: RunFolder, name: str, step: int, artefact: Artefact) -> None:
    """Writes an artefact as NAME_STEP and the suffix of its kind."""
    folder.write(folder.samples / f"{name}_{step:07d}{artefact.suffix}", artefact.encode())


def write_animation(folder: RunFolder) -> None:
    """Writes samples.gif, the samples of each evaluation in turn, where there are three or more."""
    steps = [record["step"] for record in folder.heldout()]
    paths = [folder.samples / f"samples_{step:07d}{Picture.suffix}" for step in steps]
    with storage.told(folder.samples):
        frames = [path.read_bytes() for path in paths if path.exists()]
    if len(frames) >= FEWEST_FRAMES:
        animation = Animation(frames, SECONDS_PER_FRAME)
        folder.write(folder.samples / f"samples{animation.suffix}", animation.encode())
