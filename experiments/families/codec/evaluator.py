"""Metrics and artefacts of a codec: held-out signals, coded and decoded.

Dimensions: N signals, S a signal's sides, C channels, G the grid's sides, n stages.
"""

from collections.abc import Mapping
from functools import partial

import jax
import numpy as np

from aigc_jax import codec
from aigc_jax.artefacts import Artefact, Text
from aigc_jax.metrics.sound import si_sdr
from aigc_jax.metrics.video import psnr, squared_error, ssim, ssim_uniform
from aigc_jax.spectral import mel_distance
from aigc_jax.vq import code_perplexity, code_usage
from experiments.data.signals import Signals, floats, integers
from experiments.families.codec import showing
from experiments.families.codec.options import CodecOptions
from experiments.fidelity.signals import Judges

AT_ONCE = {"image": 500, "audio": 50, "video": 10}  # signals, of which activations are in memory
_SHOWN = {"image": 50, "audio": 6, "video": 8}
_LISTED = 100  # codes
_SILENCE = 1e-3  # sums of magnitudes below it are equal


class Evaluator:
    """Metrics and artefacts of a codec on held-out signals.

    Args:
      options: of the run.
      signals: its data.
      made: the codec.
      sha256: of the classifiers; see `Judges`.
    """

    def __init__(
        self,
        options: CodecOptions,
        signals: Signals,
        made: codec.Codec,
        sha256: Mapping[str, str] | None = None,
    ):
        self._signals, self._made = signals, made
        self._judges = Judges(options, signals, sha256)
        self._encode = jax.jit(lambda coder, x: made.encode(coder, floats(x)))
        self._decode = jax.jit(made.decode, static_argnums=2)
        self._mels = jax.jit(partial(mel_distance, rate=signals.rate or 1, floor=_SILENCE))

    def coded(self, coder: codec.Coder, signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes int32 `[N, *G, n]`, and what they decode to, as integers `[N, *S, C]`."""
        codes, decoded = [], []
        sides = tuple(signals.shape[1:-1])
        for i in range(0, len(signals), AT_ONCE[self._signals.medium]):
            part = signals[i : i + AT_ONCE[self._signals.medium]]
            found = self._encode(coder, part)
            codes.append(np.asarray(found))
            decoded.append(integers(self._decode(coder, found, sides), self._signals.medium))
        return np.concatenate(codes), np.concatenate(decoded)

    def metrics(self, coder: codec.Coder) -> dict[str, float]:
        """How well held-out signals are reconstructed, by what means, and in whose eyes."""
        codes, decoded = self.coded(coder, self._judges.heldout)
        said = self._judges.describe(decoded)
        return {
            **self._judges.distance(said),
            **self._judges.recognised(said),
            **self._distances(decoded),
            **self._judges.motion(decoded),
            **_usage(codes, self._made.quantiser.codes),
        }

    def baselines(self) -> dict[str, dict[str, float]]:
        """The held-out signals themselves: what the classifiers make of the real thing."""
        real = self._judges.heldout
        known = self._judges.recognised(self._judges.real) | self._judges.motion(real)
        return {"held-out signals": known} if known else {}

    def artefacts(self, coder: codec.Coder) -> dict[str, Artefact]:
        """Signals with their reconstructions, and how often each code is used."""
        medium = self._signals.medium
        shown = self._judges.heldout[: _SHOWN[medium]]
        codes, decoded = self.coded(coder, shown)
        pairs = showing.pairs(shown, decoded, medium, self._signals.rate)
        return {**pairs, "codebook": Text(_shares(codes, self._made.quantiser.codes))}

    def _distances(self, decoded: np.ndarray) -> dict[str, float]:
        real = self._judges.heldout
        if self._signals.medium == "image":
            squares = np.square((decoded.astype(np.float32) - real) / 255)
            mse = float(squares.mean(dtype=np.float64))
            variance = float(np.var(real / np.float32(255), dtype=np.float64))
            return {"mse": mse, "mse_over_variance": mse / variance}
        x, y = (np.asarray(floats(jax.numpy.asarray(part))) for part in (real, decoded))
        if self._signals.medium == "audio":
            x, y = x[..., 0], y[..., 0]
            mels = [self._mels(y[i : i + 50], x[i : i + 50]) for i in range(0, len(x), 50)]
            return {
                "mel_distance": float(np.concatenate([np.asarray(m) for m in mels]).mean()),
                "si_sdr_db": float(si_sdr(y, x).mean()),
            }
        return frame_errors(y, x)


def frame_errors(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Means over videos and frames, `[N, T, H, W, C]`; without SSIMs whose window does not fit."""
    known = {
        "mse_summed": float(squared_error(found, truth).mean()),
        "psnr_db": float(psnr(found, truth).mean()),
    }
    windows = {"ssim": (ssim, 11), "ssim_uniform": (ssim_uniform, 7)}
    for name, (measure, side) in windows.items():
        if min(truth.shape[2:4]) >= side:
            known[name] = float(measure(found, truth).mean())
    return known


def _usage(codes: np.ndarray, size: int) -> dict[str, float]:
    """Means over stages."""
    stages = [np.bincount(codes[..., i].ravel(), minlength=size) for i in range(codes.shape[-1])]
    return {
        "code_usage": float(np.mean([code_usage(counts) for counts in stages])),
        "code_perplexity": float(np.mean([code_perplexity(counts) for counts in stages])),
    }


def _shares(codes: np.ndarray, size: int) -> str:
    """The codes used most, stage by stage, a line each with their share of all positions."""
    lines = []
    for stage in range(codes.shape[-1]):
        counts = np.bincount(codes[..., stage].ravel(), minlength=size)
        order = np.argsort(-counts, kind="stable")[: _LISTED // codes.shape[-1]]
        used = int(np.sum(counts > 0))
        lines += [f"stage {stage + 1}: {used} of {size} codes occur in these signals"]
        lines += [
            f"{code:5d}  {counts[code] / counts.sum():6.2%}" for code in order if counts[code]
        ]
    return "\n".join(lines) + "\n"
