"""The user's own images that cannot be used: each mistake is one line that names the file."""

import io
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from aigc_jax.data import npz, own_images
from aigc_jax.data.own_images import load_own_images
from aigc_jax.errors import InputError

RGB = np.random.default_rng(1).integers(256, size=(30, 6, 5, 3)).astype(np.uint8)


def message_of(path):
    with pytest.raises(InputError) as caught:
        load_own_images(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", ["gone.npz", "gone", "/dev/null", "a" * 5000])
def test_what_is_neither_file_nor_folder(path):
    assert message_of(path) == f"{path}: no such file or folder"


def test_an_empty_path_does_not_mean_this_folder():
    assert "--images is empty" in message_of("")


MUST, LABELS = "'images' must be uint8 [M, H, W], ", "'labels' must be integers [30], and is"
ARRAYS = {
    "no images": ({"x": RGB, "y": RGB}, "no array 'images'; it holds 'x', 'y'"),
    "floats": ({"images": RGB / 255}, MUST),
    "booleans": ({"images": RGB > 9}, "and is bool [30, 6, 5, 3]"),
    "signed": ({"images": RGB.astype(np.int8)}, "and is int8"),
    "16 bits": ({"images": RGB.astype(np.uint16)}, "and is uint16"),
    "one image": ({"images": RGB[0, ..., 0]}, "and is uint8 [6, 5]"),
    "a number": ({"images": np.uint8(1)}, "and is uint8 []"),
    "video": ({"images": RGB[None]}, "and is uint8 [1, 30, 6, 5, 3]"),
    "channels first": ({"images": RGB.transpose(0, 3, 1, 2)}, "and is uint8 [30, 3, 6, 5]"),
    "alpha": ({"images": np.concatenate([RGB, RGB[..., :1]], 3)}, "and is uint8 [30, 6, 5, 4]"),
    "none": ({"images": RGB[:0]}, "holds 0 images"),
    "few": ({"images": RGB[:19]}, "holds 19 images; at least 20 are needed"),
    "no pixels": ({"images": RGB[:, :0]}, "no pixels: it is uint8 [30, 0, 5, 3]"),
    "too few labels": ({"labels": np.arange(29)}, f"{LABELS} int64 [29]"),
    "column of labels": ({"labels": np.ones((30, 1), int)}, f"{LABELS} int64 [30, 1]"),
    "float labels": ({"labels": np.ones(30)}, f"{LABELS} float64"),
    "boolean labels": ({"labels": np.ones(30, bool)}, f"{LABELS} bool"),
    "labels in words": ({"labels": np.array(["cat"] * 30)}, f"{LABELS} <U3"),
    "negative labels": ({"labels": np.arange(30) - 1}, "from 0 to 65535, and are -1 to 28"),
    "large labels": ({"labels": np.full(30, 65536)}, "are 65536 to 65536"),
    "larger labels": ({"labels": np.full(30, 2**64 - 1, "u8")}, "are 18446744073709551615 to"),
    "objects": ({"images": np.array([RGB[0], None] * 15, object)}, "'images' holds Python objects"),
    "object labels": ({"labels": np.array([None] * 30)}, "which are never unpickled"),
}


@pytest.mark.parametrize("mistake", ARRAYS)
def test_arrays(tmp_path, mistake):
    arrays, reason = ARRAYS[mistake]
    if "labels" in mistake:
        arrays = {"images": RGB, **arrays}
    np.savez(tmp_path / "cats.npz", **arrays)
    message = message_of(tmp_path / "cats.npz")
    assert message.startswith(f"{tmp_path / 'cats.npz'}: ")
    assert reason in message


def written(write, *args, **kwargs):
    """What `write` puts into a file."""
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


def zipped(**members):
    """A zip file of members with these contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_npy", ".npy"), content)
    return buffer.getvalue()


def npy(shape, content=b""):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + content


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


GOOD, PACKED = written(np.savez, images=RGB), written(np.savez_compressed, images=RGB)
NOT_NPZ, UNREAD = "not an .npz file, or damaged", "'images' cannot be read"
FILES = {
    "empty": (b"", NOT_NPZ),
    "text": (b"hello", NOT_NPZ),
    "npy": (written(np.save, RGB), NOT_NPZ),
    "pickle": (np.array([{}]).dumps(), NOT_NPZ),
    "png": (written(Image.fromarray(RGB[0]).save, "PNG"), NOT_NPZ),
    "truncated": (GOOD[:-40], NOT_NPZ),
    "flipped bit": (flipped(GOOD, 500), UNREAD),
    "flipped compressed bit": (flipped(PACKED, 500), UNREAD),
    "no arrays": (zipped(), "no array 'images'; it holds nothing"),
    "not an array": (zipped(images_npy=b"hello"), UNREAD),
    "not even called one": (zipped(images=b"hello"), UNREAD),
    "cut array": (zipped(images_npy=npy((30, 6, 5), bytes(800))), UNREAD),
    "impossible array": (zipped(images_npy=npy((2**62, 6, 5))), UNREAD),
    "broken header": (zipped(images_npy=npy("(30, 6")), UNREAD),
}


@pytest.mark.parametrize("mistake", FILES)
def test_files(tmp_path, mistake):
    content, reason = FILES[mistake]
    (tmp_path / "cats.npz").write_bytes(content)
    message = message_of(tmp_path / "cats.npz")
    assert message.startswith(f"{tmp_path / 'cats.npz'}: ")
    assert reason in message


@pytest.mark.parametrize("name", ["images", "labels"])
def test_nothing_is_unpickled(tmp_path, name):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    np.savez(tmp_path / "cats.npz", **{"images": RGB, name: np.array([Trap()] * 30)})
    assert "never unpickled" in message_of(tmp_path / "cats.npz")
    assert not (tmp_path / "sprung").exists()


def test_an_npz_that_would_fill_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "cats.npz"
    np.savez(path, images=RGB)  # with a header of 128 bytes
    monkeypatch.setattr(own_images, "MOST_BYTES", RGB.nbytes + 127)
    monkeypatch.setattr(np.lib.format, "read_array", None)
    assert message_of(path).startswith(f"{path}: its pixels would take")
    monkeypatch.undo()
    monkeypatch.setattr(own_images, "MOST_BYTES", RGB.nbytes + 128)
    assert len(load_own_images(str(path)).train) == 27


def folder(path, images=RGB):
    """Numbered PNG files."""
    path.mkdir(exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:02}.png")


def png(bits, colours, size=(5, 6), rows=bytes(6 * (1 + 5 * 8)), interlaced=0):
    """A black PNG, as its specification has it, of as many bytes as 16 bits of RGBA need."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)

    ihdr = b"".join(n.to_bytes(4) for n in size) + bytes([bits, colours, 0, 0, interlaced])
    pixels = zlib.compress(rows)
    parts = chunk(b"IHDR", ihdr), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(pixels, kind="PNG", **options):
    return written(Image.fromarray(pixels).save, kind, **options)


def jpeg(cut, **options):
    """A JPEG without its last bytes, but for the end marker."""
    content = encoded(NOISE, "JPEG", **options)
    return content[: len(content) - 2 - cut] + b"\xff\xd9"


def several(cut=0):
    """Two photographs in a file, as cameras write them, of which the first has lost its end."""
    large = Image.fromarray(NOISE).resize((48, 48))
    content = written(large.save, "MPO", save_all=True, append_images=[large.rotate(90)])
    end = content.index(b"\xff\xd9")
    return content[: end - cut] + b"\xff\xd9" + bytes(cut)[2:] + content[end + 2 * (cut == 0) :]


NOISE = np.random.default_rng(3).integers(256, size=(6, 5, 3)).astype(np.uint8)
FRAMES = [Image.fromarray(RGB[i]) for i in range(3)]
FEW = "cannot be read (its stream has too few rows)"
EARLY = "cannot be read (its data end too early)"
CLEAR = np.concatenate([RGB[0], np.full((6, 5, 1), 255, np.uint8)], 2)
CLEAR[2, 3, 3] = 254
FLAT = np.full((6, 5, 3), 1, np.uint8)
IMAGES = {
    "empty": (b"", "not a PNG or JPEG image, or damaged"),
    "text": (b"hello", "not a PNG or JPEG image"),
    "gif": (encoded(FLAT, "GIF"), "not a PNG or JPEG image"),
    "bmp": (encoded(FLAT, "BMP"), "not a PNG or JPEG image"),
    "truncated png": (encoded(RGB[0])[:-30], "cannot be read"),
    "truncated jpeg": (encoded(RGB[0], "JPEG")[:-30], "cannot be read"),
    "flipped bit": (flipped(encoded(RGB[0]), 60), "cannot be read"),
    "16 bits of grey": (png(16, 0), "has 16 bits a channel; convert it to 8"),
    "16 bits of RGB": (png(16, 2), "has 16 bits a channel; convert it to 8"),
    "16 bits of grey and alpha": (png(16, 4), "has 16 bits a channel"),
    "16 bits of RGBA": (png(16, 6), "has 16 bits a channel"),
    "8 bits of clear RGBA": (png(8, 6), "has transparent pixels; put it on a background"),
    "one pixel not quite opaque": (encoded(CLEAR), "has transparent pixels"),
    "grey and alpha": (encoded(CLEAR[..., 2:]), "has transparent pixels"),
    "a clear colour": (encoded(FLAT, transparency=(1, 1, 1)), "has transparent pixels"),
    "a clear shade": (encoded(FLAT[..., 0], transparency=1), "has transparent pixels"),
    "cmyk": (
        written(Image.fromarray(FLAT).convert("CMYK").save, "JPEG"),
        "is CMYK, neither grey nor RGB; convert it",
    ),
    "a row too few": (png(8, 2, rows=bytes(5 * 16)), FEW),
    "a byte too few": (png(8, 2, rows=bytes(6 * 16 - 1)), "cannot be read"),
    "half of the rows": (png(8, 0, rows=bytes(3 * 6)), FEW),
    "a row of bits too few": (png(1, 0, rows=bytes(5 * 2)), FEW),
    "a pass too few": (png(8, 0, rows=bytes(42 - 18), interlaced=1), FEW),
    "jpeg that ends early": (jpeg(9), EARLY),
    "jpeg that is half there": (jpeg(30), EARLY),
    "progressive, ends early": (jpeg(9, progressive=True), "its data end too early"),
    "jpeg that ends early, and a picture behind it": (jpeg(9) + jpeg(0), EARLY),
    "first of several that ends early": (several(cut=300), EARLY),
    "wrong checksum": (flipped(png(8, 2), -14), "cannot be read (the checksum of its data"),
    "no palette": (png(8, 3), "cannot be read"),
    "animated png": (
        written(FRAMES[0].save, "PNG", save_all=True, append_images=FRAMES[1:]),
        "is animated, with 3 images",
    ),
    "bomb": (png(8, 2, (30_000, 30_000)), "cannot be read (Image size (900000000 pixels)"),
    "smaller bomb": (png(8, 2, (10_000, 10_000)), "cannot be read (Image size (100000000 pixels)"),
}


@pytest.mark.parametrize("mistake", IMAGES)
@pytest.mark.parametrize("name", ["00.png", "17.png"])
def test_images(tmp_path, mistake, name):
    content, reason = IMAGES[mistake]
    folder(tmp_path)
    (tmp_path / name).write_bytes(content)
    message = message_of(tmp_path)
    assert message.startswith(f"{tmp_path / name}: ")
    assert reason in message


@pytest.mark.parametrize("mistake", ["truncated png", "truncated jpeg", "a row too few"])
def test_nor_where_another_library_lets_damage_pass(tmp_path, monkeypatch, mistake):
    folder(tmp_path)
    (tmp_path / "17.png").write_bytes(IMAGES[mistake][0])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "17.png: cannot be read" in message_of(tmp_path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    "content",
    [
        png(8, 2),
        png(8, 2, rows=bytes(6 * 16)),
        png(1, 0, rows=bytes(6 * 2)),
        png(8, 0, rows=bytes(42), interlaced=1),
        jpeg(0),
        jpeg(0, progressive=True),
        jpeg(0) + bytes(99),
    ],
    ids=len,
)
def test_the_faulty_images_have_no_other_fault(tmp_path, content):
    folder(tmp_path)
    (tmp_path / "17.png").write_bytes(content)
    assert len(load_own_images(str(tmp_path)).train) == 27


def test_several_photographs_are_the_first(tmp_path):
    (tmp_path / "0.jpg").write_bytes(several())
    assert own_images.read_images(str(tmp_path))[0].shape == (1, 48, 48, 3)


@pytest.mark.filterwarnings("error")
def test_nothing_is_told_of_an_opaque_palette(tmp_path):
    grey = Image.fromarray(FLAT[..., 0]).convert("P")
    grey.save(tmp_path / "0.png", transparency=bytes([255] * 256))
    assert own_images.read_images(str(tmp_path))[0].shape == (1, 6, 5, 1)


@pytest.mark.parametrize("other", [FLAT[:, :4], FLAT[:5], FLAT.swapaxes(0, 1)], ids=np.shape)
def test_sizes_that_differ(tmp_path, other):
    folder(tmp_path)
    for name in ("17.png", "23.png"):
        Image.fromarray(other).save(tmp_path / name)
    height, width, _ = other.shape
    first = f"{tmp_path / '00.png'} has 5×6; all must be of one size"
    expected = f"{tmp_path / '17.png'}: has {width}×{height} pixels, and {first}"
    assert message_of(tmp_path) == expected


FOLDERS = {
    "empty": ([], "", "holds no images"),
    "hidden files alone": ([".a.png"], "", "holds no images"),
    "nested": (["a/b/0.png"], "a/b", "not a PNG or JPEG file"),
    "mixed": (["00.png", "a/00.png"], "", "has a file (00.png) beside a subfolder (a)"),
    "stray file": (["00.png", "notes.txt"], "notes.txt", "not a PNG or JPEG file"),
    "stray file in a class": (["a/0.png", "a/b.gif"], "a/b.gif", "not a PNG or JPEG file"),
    "empty class": (["a/00.png", "b/.hidden"], "b", "holds no images"),
    "19": ([f"{i}.png" for i in range(19)], "", "holds 19 images; at least 20 are needed"),
    "19 in all": ([f"{'ab'[i % 2]}/{i}.png" for i in range(19)], "", "holds 19 images"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_folders(tmp_path, mistake):
    files, named, reason = FOLDERS[mistake]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(encoded(FLAT))
    message = message_of(tmp_path)
    assert message.startswith(f"{tmp_path / named}: ")
    assert reason in message


def test_a_link_to_nowhere(tmp_path):
    folder(tmp_path)
    (tmp_path / "30.png").symlink_to("nowhere")
    assert message_of(tmp_path).startswith(f"{tmp_path / '30.png'}: not a PNG or JPEG file")


def test_what_does_not_fit_into_the_memory(tmp_path, monkeypatch):
    def empty(shape, dtype):
        raise MemoryError(f"Unable to allocate {shape}")

    folder(tmp_path)
    monkeypatch.setattr(own_images.np, "empty", empty)
    assert message_of(tmp_path) == f"{tmp_path}: its images do not fit into memory"


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def iterdir(self):
        raise PermissionError(13, "Permission denied", str(self))

    folder(tmp_path)
    monkeypatch.setattr(own_images.Path, "iterdir", iterdir)
    assert message_of(tmp_path) == f"{tmp_path}: cannot be read (Permission denied)"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def opened(file):
        raise PermissionError(13, "Permission denied", str(file))

    (tmp_path / "cats.npz").write_bytes(GOOD)
    monkeypatch.setattr(npz.zipfile, "ZipFile", opened)
    assert message_of(tmp_path / "cats.npz").endswith(
        "cats.npz: cannot be read (Permission denied)"
    )


def test_a_folder_that_would_fill_the_memory(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr(own_images, "MOST_BYTES", RGB.nbytes - 1)
    assert message_of(tmp_path).startswith(f"{tmp_path}: its pixels would take")
    monkeypatch.setattr(own_images, "MOST_BYTES", RGB.nbytes)
    assert len(load_own_images(str(tmp_path)).train) == 27
