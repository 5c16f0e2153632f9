"""Grids of images, animations of them, videos and curves of metrics, as PNG, GIF and SVG.

Dimensions: R rows, K columns, H W C image, T time.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

SCALE = 2
MOST_FRAMES = 30
MOST_BYTES = 2_000_000  # of an animation: a page embeds it as text, a third longer
MOST_PER_SECOND = 50  # frames of a GIF: browsers slow down what is faster


def image_grid(images: np.ndarray, scale: int = SCALE, gap: int = 1) -> bytes:
    """A PNG of images side by side.

    Args:
      images: `[R, K, H, W, C]` in [0, 1], C = 1 (grey) or 3 (RGB).
      scale: screen pixels for each image pixel.
      gap: grey image pixels between neighbours.
    """
    rows, columns, height, width, channels = images.shape
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 128, np.uint8
    )
    pixels = _uint8(images)
    for r in range(rows):
        for c in range(columns):
            top, left = r * (height + gap), c * (width + gap)
            sheet[top : top + height, left : left + width] = pixels[r, c]
    picture = Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet)
    picture = picture.resize(
        (sheet.shape[1] * scale, sheet.shape[0] * scale), Image.Resampling.NEAREST
    )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _uint8(images: np.ndarray) -> np.ndarray:
    """[0, 1] → 0 … 255, by rounding; values beyond are clipped."""
    return np.clip(np.rint(np.asarray(images) * 255), 0, 255).astype(np.uint8)


def animation(frames: Sequence[bytes], seconds_per_frame: float, scale: int = SCALE) -> bytes:
    """A GIF that shows pictures in turn, over and over, with a pause at the last.

    If there are many, frames are chosen at equal distances, with the first and the last:
    `MOST_FRAMES` of them, halved until the file has at most `MOST_BYTES`, but at least three.

    Args:
      frames: PNGs, grey or RGB; those whose size or mode is not the last one's are left out.
      seconds_per_frame: of each but the last, which is shown eight times as long.
      scale: how many times smaller than its frames the animation is; `image_grid` made them larger
        by this factor.
    """
    pictures = [Image.open(io.BytesIO(frame)) for frame in frames]
    kind = pictures[-1].size, pictures[-1].mode
    pictures = [p for p in pictures if (p.size, p.mode) == kind]
    most = MOST_FRAMES
    while True:
        small = [_reduced(pictures[i], scale) for i in _evenly(len(pictures), most)]
        unit = round(1000 * seconds_per_frame)
        gif = _gif(small, [unit] * (len(small) - 1) + [8 * unit])
        if len(gif) <= MOST_BYTES or most == 3:
            return gif
        most = max(3, min(most, len(pictures)) // 2)


def _evenly(n: int, most: int) -> list[int]:
    """At most `most` of 0 … n − 1, at equal distances, with both ends."""
    return [round(i * (n - 1) / (most - 1)) for i in range(most)] if n > most else list(range(n))


def _reduced(picture: Image.Image, scale: int) -> Image.Image:
    size = picture.width // scale, picture.height // scale
    return picture.resize(size, Image.Resampling.NEAREST)


def video(frames: np.ndarray, rate: float) -> bytes:
    """A GIF of a video, over and over.

    A GIF counts in hundredths of a second: each frame begins at the one that is nearest.

    Args:
      frames: `[T, H, W, C]` in [0, 1], C = 1 (grey) or 3 (RGB, of which a frame shows 256).
      rate: frames per second, at most `MOST_PER_SECOND`.

    Raises:
      ValueError: there are no frames, or the rate is out of range.
    """
    if not len(frames) or not 0 < rate <= MOST_PER_SECOND:
        raise ValueError(
            f"a video needs frames and a rate of at most {MOST_PER_SECOND} a second, "
            f"got {len(frames)} frames and a rate of {rate}"
        )
    starts = np.rint(100 * np.arange(len(frames) + 1) / rate).astype(int)
    pixels = _uint8(frames)
    grey = pixels.shape[-1] == 1
    images = [Image.fromarray(frame.squeeze(-1) if grey else frame) for frame in pixels]
    return _gif(images, [10 * int(n) for n in np.diff(starts)])


def _gif(pictures: Sequence[Image.Image], milliseconds: Sequence[int]) -> bytes:
    """A GIF of the frames that loops; Pillow merges equal neighbours into one longer frame."""
    if pictures[0].mode == "RGB":  # a GIF's frame has 256 colours
        pictures = [p.quantize(256, dither=Image.Dither.NONE) for p in pictures]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=list(milliseconds),
        loop=0,
    )
    return buffer.getvalue()


def curves(
    series: dict[str, tuple[list[int], list[float]]], levels: dict[str, float], title: str
) -> str:
    """An SVG of one metric over the steps.

    Args:
      series: name → (steps, values).
      levels: name → a value to draw as a horizontal line, such as a baseline.
      title: the metric's name.

    Returns:
      An `<svg>` element.
    """
    from matplotlib.figure import Figure  # takes half a second to import, and only pages need it

    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axes: Any = figure.add_subplot()
    for colour, (name, (steps, values)) in zip(
        ("#2563a8", "#d9622b", "#3c8d4a"), series.items(), strict=False
    ):
        marker = "o" if len(steps) < 40 else None
        axes.plot(
            steps, values, label=name, color=colour, linewidth=1.4, marker=marker, markersize=3
        )
    for style, (name, value) in zip(("--", ":", "-."), levels.items(), strict=False):
        axes.axhline(value, label=name, color="#777777", linestyle=style, linewidth=1)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) + len(levels) > 1:
        axes.legend(fontsize=8, frameon=False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
