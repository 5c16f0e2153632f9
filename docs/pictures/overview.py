"""Draws overview.png from two short runs, three minutes of one core together.

python -m experiments.gan --steps=2000 --eval_every=200 --workdir=runs/gan
python -m experiments.vae --steps=6000 --workdir=runs/vae
python docs/pictures/overview.py runs docs/pictures/overview.png
"""

import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def newest(folder: Path, name: str) -> np.ndarray:
    """The picture of that name of the last evaluation."""
    return np.asarray(Image.open(max((folder / "samples").glob(f"{name}_*.png"))))


def draw(runs: Path, out: Path) -> None:
    lines = [json.loads(line) for line in (runs / "gan/metrics.jsonl").read_text().splitlines()]
    heldout = [line for line in lines if line["split"] == "heldout"]
    training = next(line for line in lines if line["split"] == "training images")
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
    gan, curve, vae = axes
    gan.imshow(newest(runs / "gan", "samples"), cmap="gray")
    seconds = heldout[-1]["wall_s"]
    gan.set_title(f"GAN: samples after {seconds:.0f} s on one core", fontsize=10)
    vae.imshow(newest(runs / "vae", "manifold"), cmap="gray")
    vae.set_title("VAE: what its two latents decode to", fontsize=10)
    for axis in (gan, vae):
        axis.set_axis_off()
    curve.plot([x["wall_s"] for x in heldout], [x["fcd"] for x in heldout], marker=".")
    curve.axhline(training["fcd"], color="gray", linestyle="--", linewidth=1)
    curve.text(seconds, training["fcd"] * 1.04, "training images", ha="right", fontsize=8)
    curve.set(xlabel="seconds of training", yscale="log", ylim=(6, 120))
    ticks = (10, 20, 50, 100)
    curve.set_yticks(ticks, [str(tick) for tick in ticks])
    curve.minorticks_off()
    curve.set_title("GAN: Fréchet distance to held-out digits", fontsize=10)
    figure.savefig(out, dpi=110)
    Image.open(out).convert("RGB").quantize(48).save(out, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
