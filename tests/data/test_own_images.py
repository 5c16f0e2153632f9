import warnings
import zlib

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


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
ADAM7 += ((0, 1, 1, 2),)


def png(rows, bits, colours, size=(5, 6), interlaced=0):
    """A PNG of these rows, each a byte for its filter and its pixels."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)

    ihdr = b"".join(n.to_bytes(4) for n in size) + bytes([bits, colours, 0, 0, interlaced])
    parts = chunk(b"IHDR", ihdr), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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
    # As first drawn with NumPy 2.4: a change of it would make all reported results void.
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
    shades = (8 * np.arange(30)[:, None] + np.array([0, 5, 14]))[:, :channels]
    for i in range(30):
        image = np.full((6, 5, channels), shades[i], np.uint8)
        save(tmp_path / f"{i:02}{suffix}", image, format="JPEG", quality=95)
    given, _ = together(load_own_images(str(tmp_path)))
    assert given.shape == (30, 6, 5, channels)
    assert (abs(given.astype(int) - shades[:, None, None]) <= 2).all()


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


def grey_stored_as(kind, image):
    """A grey image `[H, W, 1]` in another of the forms that PNG and JPEG have for it."""
    grey, rgb = Image.fromarray(image.squeeze(-1)), Image.fromarray(np.repeat(image, 3, 2))
    return {
        "palette": lambda: rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=256),
        "RGB": lambda: rgb,
        "opaque RGB": lambda: rgb.convert("RGBA"),
        "opaque grey": lambda: Image.fromarray(np.repeat(opaque(image)[..., :2], 1, 2), "LA"),
        "grey": lambda: grey,
    }[kind]()


GREY_FORMS = ["palette", "RGB", "opaque RGB", "opaque grey", "grey"]


@pytest.mark.parametrize("kind", GREY_FORMS)
@pytest.mark.parametrize("all_of_them", [False, True])
def test_grey_is_grey_however_it_is_stored(tmp_path, kind, all_of_them):
    folder(tmp_path, GREY)
    for i in range(30) if all_of_them else [0, 17]:
        grey_stored_as(kind, GREY[i]).save(tmp_path / f"{i:02}.png")
    np.testing.assert_array_equal(together(load_own_images(str(tmp_path)))[0], GREY)


def test_one_pixel_of_a_colour_makes_a_set_rgb(tmp_path):
    folder(tmp_path, GREY)
    coloured = np.repeat(GREY[4], 3, axis=2)
    coloured[5, 4, 2] ^= 1
    save(tmp_path / "04.png", coloured)
    given, _ = together(load_own_images(str(tmp_path)))
    expected = np.repeat(GREY, 3, axis=3)
    expected[4] = coloured
    np.testing.assert_array_equal(given, expected)


def test_a_grey_jpeg_in_colours_is_grey(tmp_path):
    folder(tmp_path, GREY)
    (tmp_path / "04.png").unlink()
    save(tmp_path / "04.jpg", np.repeat(GREY[4], 3, axis=2), quality=95)
    assert together(load_own_images(str(tmp_path)))[0].shape == (30, 6, 5, 1)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_all_of_grey(tmp_path, bits):
    folder(tmp_path, GREY)
    levels = GREY[4] >> (8 - bits)
    rows = np.unpackbits(levels, axis=2)[..., -bits:].reshape(6, 5 * bits)
    packed = np.pad(np.packbits(rows, axis=1), ((0, 0), (1, 0)))
    (tmp_path / "04.png").write_bytes(png(packed.tobytes(), bits, 0))
    given, _ = together(load_own_images(str(tmp_path)))
    np.testing.assert_array_equal(given[4], levels * (255 // (2**bits - 1)))
    assert given.shape[3] == 1


def test_an_interlaced_png_loads(tmp_path):
    folder(tmp_path, GREY)
    passes = [GREY[4, y::dy, x::dx, 0] for x, y, dx, dy in ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    (tmp_path / "04.png").write_bytes(png(rows, 8, 0, interlaced=1))
    np.testing.assert_array_equal(together(load_own_images(str(tmp_path)))[0], GREY)


LEFT_BEHIND = ["Thumbs.db", "desktop.ini", ".DS_Store", "._00.png", ".AppleDouble", "ehthumbs.db"]
LEFT_BEHIND += ["__MACOSX/._00.png", "THUMBS.DB", "Desktop.ini", "Icon\r", "@eaDir/x@SynoEAStream"]
LEFT_BEHIND += ["#recycle/00.png", "Picasa.ini"]


@pytest.mark.parametrize("labelled", [False, True])
def test_what_systems_leave_in_folders_is_passed_over(tmp_path, labelled):
    places = [tmp_path / name for name in "ab"] if labelled else [tmp_path]
    for i, image in enumerate(RGB):
        save(places[i % len(places)] / f"{i:02}.png", image)
    clean = load_own_images(str(tmp_path))
    for place in {tmp_path, *places}:
        for name in LEFT_BEHIND:
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(b"\0")
    loaded = load_own_images(str(tmp_path))
    assert loaded.fingerprint() == clean.fingerprint()
    assert loaded.classes == (("a", "b") if labelled else None)


def test_classes_are_called_as_their_folders(tmp_path):
    names = ["cat", "Dog", "10 Größe", "caf\udce9"]
    for i, image in enumerate(RGB):
        save(tmp_path / names[i % 4] / f"{i:02}.png", image)
    images = load_own_images(str(tmp_path))
    assert images.classes == ("10 Größe", "Dog", "caf\udce9", "cat")
    given, labels = together(images)
    for i, name in enumerate(names):
        of_it = given[labels == images.classes.index(name)]
        np.testing.assert_array_equal(of_it, RGB[i::4])
    assert load_own_images(npz(tmp_path / "a.npz", images=RGB)).classes is None


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
