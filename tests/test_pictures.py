import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from aigc_jax.pictures import curves, image_grid

SVG = "{http://www.w3.org/2000/svg}"


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_grid_of_grey_images_pixel_by_pixel():
    # [1, 2, 1, 2, 1] and a second row: values 0, 0.2 | 0.4, 0.6 over 0.8, 1 | 0, 1.
    images = np.array([0, 0.2, 0.4, 0.6, 0.8, 1, 0, 1]).reshape(2, 2, 1, 2, 1)
    assert pixels(image_grid(images, scale=1)).tolist() == [
        [0, 51, 128, 102, 153],
        [128] * 5,
        [204, 255, 128, 0, 255],
    ]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("scale", "gap"), [(1, 1), (2, 1), (3, 2), (1, 0)])
def test_each_image_is_at_its_place(rng, channels, scale, gap):
    images = rng.integers(256, size=(2, 3, 4, 5, channels)) / 255
    sheet = pixels(image_grid(images, scale, gap))
    shape = scale * (2 * 4 + gap), scale * (3 * 5 + 2 * gap)
    assert sheet.shape == (shape if channels == 1 else (*shape, 3))
    seen = np.zeros(shape, bool)
    for r in range(2):
        for c in range(3):
            top, left = scale * r * (4 + gap), scale * c * (5 + gap)
            place = np.s_[top : top + 4 * scale, left : left + 5 * scale]
            enlarged = (images[r, c] * 255).repeat(scale, 0).repeat(scale, 1).round()
            expected = enlarged[..., 0] if channels == 1 else enlarged
            np.testing.assert_array_equal(sheet[place], expected)
            seen[place] = True
    assert (sheet[~seen] == 128).all()


def test_red_green_and_blue_keep_their_places():
    images = np.eye(3).reshape(1, 3, 1, 1, 3)
    assert pixels(image_grid(images, scale=1, gap=0))[0].tolist() == (255 * np.eye(3)).tolist()


def test_values_are_rounded_and_clipped():
    images = np.array([-0.5, 0.4999 / 255, 0.5001 / 255, 1.7], np.float32).reshape(1, 4, 1, 1, 1)
    assert pixels(image_grid(images, scale=1, gap=0)).tolist() == [[0, 0, 1, 255]]


def drawn(svg):
    """The root of an SVG, and the texts that stand in it as comments beside their outlines."""
    builder = ET.TreeBuilder(insert_comments=True)
    root = ET.fromstring(svg, ET.XMLParser(target=builder))
    return root, [e.text.strip() for e in root.iter() if e.tag is ET.Comment]


def test_curves_are_one_svg_with_a_line_for_each_series_and_level():
    series = {"train": ([1, 2, 3], [3.0, 2.0, 1.0]), "heldout": ([2, 3], [2.5, 2.0])}
    svg = curves(series, {"baseline": 4.0}, "loss_d & <loss_g>")
    root, texts = drawn(svg)
    assert root.tag == f"{SVG}svg"
    assert {"train", "heldout", "baseline", "step"} <= set(texts)
    lines = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("line2d")]
    paths = [g.find(f"{SVG}path") for g in lines]
    colours = "".join(p.get("style", "") for p in paths if p is not None)
    assert all(colour in colours for colour in ("#2563a8", "#d9622b", "#777777"))
    assert "<loss_g>" not in svg


def test_a_single_curve_needs_no_legend():
    root, _ = drawn(curves({"train": ([1, 2], [3.0, 2.0])}, {}, "loss"))
    assert not [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("legend")]
