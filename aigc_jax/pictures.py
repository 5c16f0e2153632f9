"""Grids of images, animations of them and curves of metrics, as PNG, GIF and SVG.

Dimensions: R rows, K columns, H W C image.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

SCALE = 2
MOST_FRAMES = 30
MOST_BYTES = 2_000_000  # of an animation: a page holds it as text, a third longer


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
    pixels = np.clip(np.rint(np.asarray(images) * 255), 0, 255).astype(np.uint8)
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


def animation(frames: Sequence[bytes], seconds_per_frame: float, scale: int = SCALE) -> bytes:
    """A GIF of pictures in turn, over and over, with a rest at the last.

    Of many frames some are chosen at equal distances, with the first and the last: `MOST_FRAMES`,
    or as few again by halves as make `MOST_BYTES`, but never less than three.

    Args:
      frames: PNGs, grey or RGB; those that are not of the last one's size and kind are left out.
      seconds_per_frame: of each but the last, which is shown eight times as long.
      scale: pixels of a frame, across and down, that the animation shows as one; those that
        `image_grid` made of one.
    """
    pictures = [Image.open(io.BytesIO(frame)) for frame in frames]
    kind = pictures[-1].size, pictures[-1].mode
    pictures = [p for p in pictures if (p.size, p.mode) == kind]
    most = MOST_FRAMES
    while True:
        gif = _gif([pictures[i] for i in _evenly(len(pictures), most)], seconds_per_frame, scale)
        if len(gif) <= MOST_BYTES or most == 3:
            return gif
        most = max(3, min(most, len(pictures)) // 2)


def _evenly(n: int, most: int) -> list[int]:
    """At most so many of 0 … n − 1, at equal distances, with both ends."""
    return [round(i * (n - 1) / (most - 1)) for i in range(most)] if n > most else list(range(n))


def _gif(pictures: list[Image.Image], seconds_per_frame: float, scale: int) -> bytes:
    small = [
        p.resize((p.width // scale, p.height // scale), Image.Resampling.NEAREST) for p in pictures
    ]
    if small[0].mode == "RGB":  # a GIF's frame has 256 colours
        small = [p.quantize(256, dither=Image.Dither.NONE) for p in small]
    unit = round(1000 * seconds_per_frame)
    buffer = io.BytesIO()
    small[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=small[1:],
        duration=[unit] * (len(small) - 1) + [8 * unit],
        loop=0,
    )
    return buffer.getvalue()


def curves(
    series: dict[str, tuple[list[int], list[float]]], levels: dict[str, float], title: str
) -> str:
    """An SVG of one figure over the steps.

    Args:
      series: name → (steps, values).
      levels: name → a value to draw as a horizontal line, such as a baseline.
      title: the figure's name.

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
