"""Signals as artefacts: grids of images, spectrograms with sounds, moving grids.

Dimensions: N signals, S a signal's sides, C channels, T time.
"""

import numpy as np

from aigc_jax.artefacts import Artefact, Picture, Sound
from experiments.data.images import grid
from experiments.data.sounds import mel_images
from experiments.data.videos import side_by_side

_COLUMNS = 10
_PAUSE = 0.25  # s between sounds


def _unit(signals: np.ndarray) -> np.ndarray:
    return signals.astype(np.float32) / np.float32(255)


def spectrograms(sounds: np.ndarray, rate: int) -> np.ndarray:
    """Log-mels of sounds int16 `[N, T, 1]`, time to the right, low below: `[N, M, F, 1]` in [0, 1].

    Each band is drawn twice as high as it is.
    """
    mels = _unit(mel_images(sounds[..., 0], rate))
    return np.repeat(mels.transpose(0, 2, 1, 3)[:, ::-1], 2, axis=1)


def joined(sounds: np.ndarray, rate: int) -> Sound:
    """Sounds int16 `[N, T, 1]` one after another, with a pause between two."""
    floats = sounds[..., 0].astype(np.float32) / np.float32(2**15 - 1)  # as `Sound` counts
    pause = np.zeros((len(sounds), int(_PAUSE * rate)), np.float32)
    both = np.concatenate([floats, pause], axis=1).ravel()
    return Sound(both[: len(both) - pause.shape[1]], rate)


def pairs(
    real: np.ndarray, decoded: np.ndarray, medium: str, rate: float | None
) -> dict[str, Artefact]:
    """By name, signals beside what their codes decode to.

    Args:
      real, decoded: integers `[N, *S, C]`.
      medium: of the signals.
      rate: samples or frames per second.
    """
    both = np.stack([real, decoded], axis=1)
    if medium == "image":
        images = _unit(both.reshape(-1, *real.shape[1:]))
        return {"reconstructions": grid(images, min(_COLUMNS, len(images)))}
    assert rate is not None
    if medium == "video":
        videos = both.reshape(-1, *real.shape[1:])
        return {"reconstructions": side_by_side(videos, rate, min(8, len(videos)))}
    drawn = np.stack([spectrograms(part, int(rate)) for part in (real, decoded)])
    return {
        "spectrograms": Picture(drawn),
        "originals": joined(real, int(rate)),
        "decoded": joined(decoded, int(rate)),
    }


def samples(found: np.ndarray, medium: str, rate: float | None) -> dict[str, Artefact]:
    """By name, signals `[N, *S, C]` that a prior has made."""
    if medium == "image":
        return {"samples": grid(_unit(found), _COLUMNS)}
    assert rate is not None
    if medium == "video":
        return {"samples": side_by_side(found, rate, 4)}
    columns = min(len(found), 8)
    drawn = spectrograms(found, int(rate))
    drawn = drawn[: len(drawn) // columns * columns]
    return {
        "spectrograms": Picture(drawn.reshape(-1, columns, *drawn.shape[1:])),
        "samples": joined(found, int(rate)),
    }
