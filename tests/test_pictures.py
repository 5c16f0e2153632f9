import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from aigc_jax import pictures
from aigc_jax.pictures import animation, curves, image_grid

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


def played(gif):
    """Each frame of a GIF with its milliseconds."""
    with Image.open(io.BytesIO(gif)) as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0  # without end
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
        return found


def shades(n, side=1):
    return [image_grid(np.full((1, 2, side, side, 1), i / 255), gap=0) for i in range(n)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_an_animation_shows_each_pixel_of_each_frame_once(rng, channels, scale):
    # Few colours, of which a GIF may have 256 in a frame; grey has no more.
    values = rng.integers(256 if channels == 1 else 4, size=(3, 2, 3, 4, 5, channels))
    values = values * (1 if channels == 1 else 85)
    frames = [image_grid(v / 255, scale=scale, gap=0) for v in values]
    shown = played(animation(frames, 0.2, scale))
    assert len(shown) == 3
    for (frame, _), grid in zip(shown, values, strict=True):
        sheet = grid.transpose(0, 2, 1, 3, 4).reshape(8, 15, channels)
        np.testing.assert_array_equal(frame, np.broadcast_to(sheet, (8, 15, 3)))


def test_the_last_frame_is_held():
    assert [ms for _, ms in played(animation(shades(4), 0.25))] == [250, 250, 250, 2000]


@pytest.mark.parametrize(
    ("n", "chosen"),
    [
        (29, list(range(29))),
        (30, list(range(30))),
        (31, [*range(15), *range(16, 31)]),
        (88, list(range(0, 88, 3))),
    ],
)
def test_of_many_frames_so_many_are_shown_at_equal_distances(n, chosen):
    assert [frame[0, 0, 0] for frame, _ in played(animation(shades(n), 0.1))] == chosen


def test_frames_that_are_not_like_the_last_are_left_out():
    small, colour = shades(1), image_grid(np.ones((1, 2, 4, 4, 3)), gap=0)
    frames = [*small, *shades(2, side=4), colour, *shades(3, side=4)[2:]]
    assert [frame[0, 0, 0] for frame, _ in played(animation(frames, 0.1))] == [0, 1, 2]


def test_an_animation_is_the_same_each_time(rng):
    frames = [image_grid(rng.random((2, 2, 8, 8, 3))) for _ in range(4)]
    assert animation(frames, 0.1) == animation(frames, 0.1)


def test_an_animation_of_digits_sized_noise_leaves_room_on_a_page(rng):
    frames = [image_grid(rng.random((10, 10, 28, 28, 1))) for _ in range(20)]
    assert 500_000 < len(animation(frames, 0.1)) <= 2_000_000


def test_a_large_animation_has_fewer_frames_but_never_less_than_three(rng, monkeypatch):
    frames = [image_grid(rng.random((4, 4, 28, 28, 1))) for _ in range(24)]
    one = len(animation(frames[:1], 0.1))
    monkeypatch.setattr(pictures, "MOST_BYTES", int(6.5 * one))
    shown = played(animation(frames, 0.1))
    assert len(shown) == 6
    for (frame, _), png in zip(shown[::5], frames[::23], strict=True):  # the first and the last
        np.testing.assert_array_equal(frame[..., 0], pixels(png)[::2, ::2])
    monkeypatch.setattr(pictures, "MOST_BYTES", 1)
    assert len(played(animation(frames, 0.1))) == 3
    assert len(played(animation(frames[:2], 0.1))) == 2


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
