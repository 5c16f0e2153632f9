"""Grids of images and curves of figures, as PNG and SVG.

Dimensions: R rows, K columns, H W C image.
"""

import io
from typing import Any

import numpy as np
from PIL import Image


def image_grid(images: np.ndarray, scale: int = 2, gap: int = 1) -> bytes:
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
