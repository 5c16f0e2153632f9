import dataclasses
import hashlib
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.errors import InputError
from aigc_jax.vae.compression import container
from aigc_jax.vae.compression.container import (
    Header,
    Origin,
    check_origin,
    pack,
    parameters_digest,
    unpack,
)

ORIGIN = Origin(
    step=20,
    parameters="a" * 64,
    options="b" * 64,
    versions={"jax": "0.10.2", "constriction": "0.5.0"},
    device="cpu, cpu, x86_64",
    outputs="c" * 64,
)
HEADER = Header(
    shape=(2, 3, 4, 1),
    levels=2,
    lanes=1,
    grid=(256, 8),
    below=5,
    images="d" * 64,
    origin=ORIGIN,
)
WORDS = np.array([1, 0, 2**32 - 1, 7], np.uint32)


def refusal(content):
    with pytest.raises(InputError) as error:
        unpack(content, "d.bb")
    message = str(error.value)
    assert message.startswith("d.bb: ")
    assert "\n" not in message
    return message


def sealed(body):
    return body + hashlib.sha256(body).digest()


def with_header(described, version=1):
    text = json.dumps(described).encode()
    return sealed(b"aigc-bb\n" + struct.pack("<II", version, len(text)) + text + b"\1\0\0\0")


def test_what_is_packed_is_unpacked():
    header, words = unpack(pack(HEADER, WORDS), "d.bb")
    assert header == HEADER
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(words, WORDS)


def test_the_layout_is_the_documented_one():
    content = pack(HEADER, WORDS)
    magic, version, length = struct.unpack("<8sII", content[:16])
    assert (magic, version) == (b"aigc-bb\n", 1)
    assert json.loads(content[16 : 16 + length])["origin"]["versions"]["jax"] == "0.10.2"
    assert content[16 + length : -32] == bytes.fromhex("01000000 00000000 ffffffff 07000000")
    assert content[-32:] == hashlib.sha256(content[:-32]).digest()


def test_a_file_without_words_is_one():
    assert len(unpack(pack(HEADER, WORDS[:0]), "d.bb")[1]) == 0


def test_a_file_cut_anywhere_is_refused():
    content = pack(HEADER, WORDS)
    for length in range(len(content)):
        message = refusal(content[:length])
        assert ("truncated" in message) == (length > 0)


def test_a_longer_file_is_refused():
    assert "damaged" in refusal(pack(HEADER, WORDS) + b"\0")


@pytest.mark.parametrize("bit", [0, 7])
def test_one_flipped_bit_anywhere_is_refused(bit):
    content = pack(HEADER, WORDS)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        message = refusal(bytes(changed))
        assert ("not a file" in message) == (place < 8)
        assert ("damaged" in message) == (place >= 8)


@pytest.mark.parametrize("content", [b"", b"\0", b"PK\3\4 an archive", b"aigc_jax", bytes(100)])
def test_other_files_are_refused(content):
    assert "not a file that experiments.compress wrote" in refusal(content)


def test_another_format_is_refused():
    described = dataclasses.asdict(HEADER)
    assert unpack(with_header(described), "d.bb")[0] == HEADER
    assert "is of format 2, and only 1" in refusal(with_header(described, version=2))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 3, 4]},
        {"shape": [0, 3, 4, 1]},
        {"shape": "wide"},
        {"levels": 3},
        {"lanes": 0},
        {"lanes": 10**9},
        {"lanes": "many"},
        {"below": -1},
        {"grid": 256},
        {"origin": {}},
        {"origin": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_header_that_says_nothing_sensible_is_refused(change):
    described = {**dataclasses.asdict(HEADER), **change}
    assert "header cannot be read" in refusal(with_header(described))


@pytest.mark.parametrize("text", [b"[]", b"{}", b"\xff", b"{", b"1", b"null"])
def test_a_header_that_is_none_is_refused(text):
    body = b"aigc-bb\n" + struct.pack("<II", 1, len(text)) + text
    assert "header cannot be read" in refusal(sealed(body))


def described(**changes):
    """The header as JSON holds it, with other values; those of `origin` by their own names."""
    whole = dataclasses.asdict(HEADER)
    for name, value in changes.items():
        (whole["origin"] if name in whole["origin"] else whole)[name] = value
    return whole


ESCAPES = "\x1b]0;owned\x07"
HOSTILE = {
    "levels as a float": described(levels=2.0),
    "levels as a truth": described(levels=True),
    "lanes as a float": described(lanes=1.0),
    "lanes as a truth": described(lanes=True),
    "lanes in words": described(lanes="1"),
    "sizes as floats": described(shape=[2.0, 3, 4, 1]),
    "sizes as truths": described(shape=[2, 3, 4, True]),
    "sizes by name": described(shape={"2": 1, "3": 1, "4": 1, "1": 1}),
    "negative sizes": described(shape=[-2, -3, 4, 1]),
    "10^12 images": described(shape=[10**12, 28, 28, 1]),
    "sizes whose product is small in 64 bits": described(shape=[2**32, 2**32, 1, 1]),
    "a size of a thousand digits": described(shape=[10**1000, 3, 4, 1]),
    "a size not a number": described(shape=[float("nan"), 3, 4, 1]),
    "an infinite size": described(shape=[float("inf"), 3, 4, 1]),
    "no size": described(shape=[None, 3, 4, 1]),
    "below as a float": described(below=0.5),
    "below far away": described(below=2**70),
    "grid of floats": described(grid=[256.0, 8]),
    "grid of three": described(grid=[256, 8, 1]),
    "images as a number": described(images=7),
    "a step that is none": described(step="20"),
    "a step far away": described(step=10**300),
    "a device that is a list": described(device=["cpu"]),
    "a device like a book": described(device="cpu" * 1000),
    "parameters that are none": described(parameters=None),
    "versions as a list": described(versions=["jax", "0.10.2"]),
    "a foreign library": described(versions={"jax": "0.10.2", f"evil{ESCAPES}": "1"}),
    "a version that is a number": described(versions={"jax": 0.1}),
    "a version that is a command": described(versions={"jax": "1; rm -rf evil"}),
    "a version that is an option": described(versions={"jax": "--index-url=evil"}),
    "a version with escapes": described(versions={"jax": f"0.1{ESCAPES}"}),
    "a key with escapes": {**described(), f"evil{ESCAPES}": 1},
    "a key in the origin": described(origin={**dataclasses.asdict(ORIGIN), "evil": 1}),
    "a key too few": {k: v for k, v in described().items() if k != "lanes"},
    "an origin in words": described(origin="evil"),
    "a list of pairs": [[k, v] for k, v in described().items()],
}


@pytest.mark.parametrize("mistake", HOSTILE)
def test_nothing_of_a_header_is_believed_before_its_type_and_range_are_known(mistake):
    message = refusal(with_header(HOSTILE[mistake]))
    assert "its header cannot be read" in message
    assert "evil" not in message
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 60_000,
        b'{"shape": 1e999}',
        b"-Infinity",
        b"9" * 5000,
        b'{"shape": "\xed\xa0\x80"}',
        b" " * 10**6 + b"{}",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_json_beyond_reason_is_refused_in_one_line(text):
    body = b"aigc-bb\n" + struct.pack("<II", 1, len(text)) + text
    assert "header cannot be read" in refusal(sealed(body))


@pytest.mark.parametrize("length", [0, 5, 10**6, 2**32 - 1])
def test_a_header_of_another_length_is_refused(length):
    content = pack(HEADER, WORDS)[:-32]
    assert "header cannot be read" in refusal(
        sealed(content[:12] + struct.pack("<I", length) + content[16:])
    )


def test_words_that_are_not_whole_are_refused():
    assert "header cannot be read" in refusal(sealed(pack(HEADER, WORDS)[:-33]))


def test_the_same_origin_is_accepted():
    check_origin(ORIGIN, dataclasses.replace(ORIGIN), "d.bb")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": "0" * 64}, "another model (with other parameters"),
        ({"parameters": "0" * 64, "step": 30}, "at step 20, and this run is at step 30"),
        ({"options": "0" * 64}, "another model"),
        (
            {"versions": {"jax": "0.12.0", "constriction": "0.5.0"}},
            "was made with jax 0.10.2, and this is 0.12.0; pip install jax==0.10.2",
        ),
        (
            {"versions": {"jax": "0.10.2", "constriction": None}},
            "constriction 0.5.0, and here there is none; pip install constriction==0.5.0",
        ),
        (
            {"versions": {"jax": "0.10.2", "jaxlib": "0.10.2", "constriction": "0.5.0"}},
            "was made without jaxlib, and here there is 0.10.2",
        ),
        ({"device": "gpu, H100, x86_64"}, "was made on cpu, cpu, x86_64, and this is gpu, H100"),
        ({"outputs": "0" * 64}, "return other numbers here"),
    ],
)
def test_whatever_differs_is_named(change, message):
    with pytest.raises(InputError) as error:
        check_origin(ORIGIN, dataclasses.replace(ORIGIN, **change), "d.bb")
    assert str(error.value).startswith("d.bb: ")
    assert message in str(error.value)


def test_the_origin_is_of_here_and_now():
    found = container.origin({"w": jnp.ones(2)}, 3, {"width": 4}, "00")
    assert set(found.versions) == {"jax", "jaxlib", "numpy", "constriction"}
    assert found.versions["numpy"] == np.__version__
    assert found.device.startswith("cpu, cpu, ")
    assert (found.step, found.outputs) == (3, "00")
    assert found == container.origin({"w": jnp.ones(2)}, 3, {"width": 4}, "00")
    assert found.options != container.origin({"w": jnp.ones(2)}, 3, {"width": 5}, "00").options


def test_the_digest_of_parameters_knows_names_values_shapes_and_types():
    params = {"a": jnp.ones((2, 3)), "b": {"c": jnp.float32(1)}}
    others = [
        {"a": jnp.ones((3, 2)), "b": {"c": jnp.float32(1)}},
        {"a": jnp.ones((2, 3)), "b": {"d": jnp.float32(1)}},
        {"a": jnp.ones((2, 3)), "b": {"c": jnp.nextafter(jnp.float32(1), jnp.float32(2))}},
        {"a": jnp.ones((2, 3)), "b": {"c": jnp.float32(1).view(jnp.int32)}},
    ]
    digests = {parameters_digest(p) for p in (params, *others)}
    assert len(digests) == 5
    assert parameters_digest({"b": {"c": jnp.float32(1)}, "a": jnp.ones((2, 3))}) in digests
