import warnings

import numpy as np
import pytest
from PIL import Image

from aigc_jax.data.own_images import load_own_images


def random_images(*shape):
    return np.random.default_rng(1).integers(256, size=shape).astype(np.uint8)


RGB = random_images(30, 6, 5, 3)  # 6 rows and 5 columns
GREY = RGB[..., :1]


def npz(path, compress=False, **arrays):
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    return str(path)


def save(file, image, **options):
    """One image [H, W, C], as the file's name says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, **options)


def folder(path, images=RGB):
    """Numbered PNG files."""
    for i, image in enumerate(images):
        save(path / f"{i:02}.png", image)
    return path


def together(images):
    """All images in the order in which they were given, and their labels."""
    order = np.random.default_rng(30).permutation(30)
    both = np.concatenate([images.train, images.heldout])
    given = np.empty_like(both)
    given[order] = both
    if images.train_labels is None:
        return given, None
    labels = np.empty(30, int)
    labels[order] = np.concatenate([images.train_labels, images.heldout_labels])
    return given, labels


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("given", [RGB, GREY, GREY[..., 0], np.asfortranarray(RGB)], ids=np.shape)
def test_an_npz_loads_as_it_was_saved(tmp_path, given, compress):
    images = load_own_images(npz(tmp_path / "cats.npz", compress, images=given, other=[1.5]))
    assert (images.name, images.unit) == ("cats", "images")
    assert images.train.dtype == images.heldout.dtype == np.uint8
    assert len(images.heldout) == 3
    assert images.train_labels is None
    assert images.heldout_labels is None
    np.testing.assert_array_equal(together(images)[0], given.reshape(30, 6, 5, -1))


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">u4", "uint64", "int8"])
def test_labels_go_with_their_images(tmp_path, dtype):
    labels = np.random.default_rng(2).integers(4, size=30).astype(dtype)
    images = load_own_images(npz(tmp_path / "a.npz", images=RGB, labels=labels))
    assert images.train_labels.dtype == images.heldout_labels.dtype == np.int32
    given, found = together(images)
    np.testing.assert_array_equal(given, RGB)
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(("count", "heldout"), [(20, 2), (29, 2), (30, 3), (105, 10)])
def test_a_tenth_is_held_out_and_always_the_same(tmp_path, count, heldout):
    given = random_images(count, 2, 2)
    first = load_own_images(npz(tmp_path / "a.npz", images=given))
    again = load_own_images(npz(tmp_path / "b.npz", images=given, labels=np.zeros(count, int)))
    assert (len(first.train), len(first.heldout)) == (count - heldout, heldout)
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.heldout, again.heldout)
    all_images = {image.tobytes() for image in given}
    assert {x.tobytes() for part in (first.train, first.heldout) for x in part} == all_images


def test_the_split_does_not_change(tmp_path):
    # As first drawn with NumPy 2.4: a change of it would make all reported figures void.
    images = load_own_images(
        npz(tmp_path / "a.npz", images=np.arange(20, dtype=np.uint8)[:, None, None])
    )
    assert images.heldout.ravel().tolist() == [17, 11]


def test_a_folder_loads_in_the_order_of_its_names(tmp_path):
    images = load_own_images(str(folder(tmp_path / "cats")))
    assert images.name == "cats"
    given, labels = together(images)
    np.testing.assert_array_equal(given, RGB)
    assert labels is None
    as_npz = load_own_images(npz(tmp_path / "cats.npz", images=RGB))
    assert images.fingerprint() == as_npz.fingerprint()


def test_a_folder_is_named_even_from_within(tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path / "cats"))
    assert load_own_images(".").name == "cats"


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path):
    for i, image in enumerate(RGB):
        save(tmp_path / ("b", "a", "c")[i % 3] / f"{i:02}.png", image)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "a" / ".hidden.png").write_bytes(b"\0")
    given, labels = together(load_own_images(str(tmp_path)))
    np.testing.assert_array_equal(given, np.concatenate([RGB[1::3], RGB[::3], RGB[2::3]]))
    assert labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_grey_files_give_one_channel_until_one_of_colour_makes_it_three(tmp_path):
    folder(tmp_path, GREY)
    np.testing.assert_array_equal(together(load_own_images(str(tmp_path)))[0], GREY)
    save(tmp_path / "17.png", RGB[17])
    given, _ = together(load_own_images(str(tmp_path)))
    expected = np.repeat(GREY, 3, axis=3)
    expected[17] = RGB[17]
    np.testing.assert_array_equal(given, expected)


def flat(shade):
    return np.full((6, 5, 3), shade, np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".JPEG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_files_load(tmp_path, suffix, channels):
    for i in range(30):
        save(tmp_path / f"{i:02}{suffix}", flat(8 * i)[..., :channels], format="JPEG", quality=95)
    given, _ = together(load_own_images(str(tmp_path)))
    assert given.shape == (30, 6, 5, channels)
    assert (abs(given.astype(int) - 8 * np.arange(30)[:, None, None, None]) <= 2).all()


def test_a_jpeg_is_not_searched_for_the_depth_of_a_png(tmp_path):
    for i, image in enumerate(RGB):
        save(tmp_path / f"{i:02}.jpg", image, comment=bytes([16]) * 99)
    assert (tmp_path / "00.jpg").read_bytes()[24] == 16
    assert len(load_own_images(str(tmp_path)).train) == 27


def test_an_image_is_turned_as_a_viewer_shows_it(tmp_path):
    folder(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90° clockwise for display
    save(tmp_path / "04.png", np.rot90(RGB[4]), exif=exif)
    np.testing.assert_array_equal(together(load_own_images(str(tmp_path)))[0], RGB)


def opaque(image):
    return np.concatenate([image, np.full_like(image[..., :1], 255)], -1)


LOSSLESS = {
    "palette": (Image.fromarray(RGB[4]).quantize(256), RGB[4]),
    "opaque": (Image.fromarray(opaque(RGB[4])), RGB[4]),
    "grey and opaque": (Image.fromarray(opaque(GREY[4])), np.repeat(GREY[4], 3, axis=2)),
    "grey": (Image.fromarray(GREY[4].squeeze(-1)), np.repeat(GREY[4], 3, axis=2)),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_what_converts_without_loss_is_converted(tmp_path, kind):
    image, expected = LOSSLESS[kind]
    folder(tmp_path)
    image.save(tmp_path / "04.png")
    given, _ = together(load_own_images(str(tmp_path)))
    np.testing.assert_array_equal(given[4], expected)


def test_black_and_white_is_grey(tmp_path):
    folder(tmp_path, GREY)
    Image.fromarray(GREY[4, ..., 0] > 127).save(tmp_path / "04.png")
    given, _ = together(load_own_images(str(tmp_path)))
    np.testing.assert_array_equal(given[4], np.where(GREY[4] > 127, 255, 0))


def test_damaged_metadata_is_no_concern(tmp_path):
    folder(tmp_path)
    save(tmp_path / "04.jpg", RGB[4], exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0")
    (tmp_path / "04.png").unlink()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        given, _ = together(load_own_images(str(tmp_path)))
    assert not shown
    np.testing.assert_array_equal(given[:4], RGB[:4])
