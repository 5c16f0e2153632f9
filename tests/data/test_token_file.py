"""Tokens on disk are those in memory, and a file that is not whole is never taken for one."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from aigc_jax.cache_folder import cache_folder
from aigc_jax.data import text, token_file
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.text import chunks, load_text
from aigc_jax.data.token_file import tokens_on_disk
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer
from aigc_jax.errors import InputError

STORY = "It was a dark and stormy night. 大雨倾盆。\n" * 100
TOKENS = np.arange(1000, dtype=np.int32)


class Encode:
    """Gives `TOKENS` in three parts, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return iter(np.split(TOKENS, [10, 700]))


def files(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


@pytest.mark.parametrize("kind", ["characters", "bytes", "byte pairs"])
def test_tokens_on_disk_are_those_in_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(text, "LARGE", 100)
    (tmp_path / "story.txt").write_text(STORY)
    loaded = load_text("ignored", str(tmp_path / "story.txt"))
    coder = {
        "characters": CharTokenizer.of(STORY),
        "bytes": ByteTokenizer(),
        "byte pairs": BpeTokenizer.trained([STORY], 300),
    }[kind]
    boundary = len(STORY) * 9 // 10
    for part, content in ((loaded.train, STORY[:boundary]), (loaded.heldout, STORY[boundary:])):
        tokens = tokens_on_disk(
            f"{part}",
            coder.vocabulary_size,
            lambda part=part: coder.encode_chunks(chunks(part)),
            tmp_path,
        )
        assert isinstance(tokens, np.memmap)
        np.testing.assert_array_equal(tokens, coder.encode(content))


@pytest.mark.parametrize(
    ("symbols", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.uint32), (256, np.uint16)]
)
def test_a_token_takes_as_many_bytes_as_the_vocabulary_needs(tmp_path, symbols, dtype):
    ends = np.array([0, symbols - 1], np.int32)
    tokens = tokens_on_disk("a", symbols, lambda: [ends], tmp_path)
    assert (tokens.dtype, tokens.tolist()) == (dtype, ends.tolist())


def test_tokens_are_made_once_and_cannot_be_written_to(tmp_path):
    encode = Encode()
    for _ in range(3):
        tokens = tokens_on_disk("a", 1000, encode, tmp_path)
        np.testing.assert_array_equal(tokens, TOKENS)
    assert encode.calls == 1
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_what_decides_the_tokens_decides_the_file(tmp_path):
    encode = Encode()
    tokens_on_disk("a", 1000, encode, tmp_path)
    tokens_on_disk("b", 1000, encode, tmp_path)
    assert encode.calls == len(files(tmp_path)) == 2


def flip_a_bit(content):
    return content[:500] + bytes([content[500] ^ 4]) + content[501:]


DAMAGES = {
    "truncated": lambda content: content[:-2],
    "tokens alone": lambda content: content[:-32],
    "hash alone": lambda content: content[-32:],
    "empty": lambda content: b"",
    "short": lambda content: b"x" * 10,
    "longer": lambda content: content + b"\0\0",
    "a flipped bit": flip_a_bit,
    "a flipped bit of the hash": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_made_again(tmp_path, damage):
    encode = Encode()
    tokens_on_disk("a", 1000, encode, tmp_path)
    (path,) = tmp_path.glob("*.tokens")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(tokens_on_disk("a", 1000, encode, tmp_path), TOKENS)
    assert encode.calls == 2
    assert path.read_bytes() == whole
    assert whole[-32:] == hashlib.sha256(whole[:-32]).digest()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_before_the_end_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*_):
        raise RuntimeError("the end")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(RuntimeError, match="the end"):
            tokens_on_disk("a", 1000, Encode(), tmp_path)
    assert files(tmp_path) == []
    np.testing.assert_array_equal(tokens_on_disk("a", 1000, Encode(), tmp_path), TOKENS)


def test_a_failure_while_encoding_leaves_nothing(tmp_path):
    def encode():
        yield TOKENS
        raise InputError("was truncated while it was read")

    with pytest.raises(InputError, match="was truncated"):
        tokens_on_disk("a", 1000, encode, tmp_path)
    assert files(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from aigc_jax.data.token_file import tokens_on_disk

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

os.{call} = kill
tokens_on_disk("a", 1000, lambda: [np.arange(500), np.arange(99)], Path(sys.argv[1]))
"""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_a_killed_process_left_is_not_used(tmp_path, environment, call):
    script = [sys.executable, "-c", KILLED.format(call=call), str(tmp_path)]
    assert subprocess.run(script, env=environment).returncode == -signal.SIGKILL
    (unfinished,) = files(tmp_path)
    assert unfinished.endswith(".unfinished")
    np.testing.assert_array_equal(tokens_on_disk("a", 1000, Encode(), tmp_path), TOKENS)
    (whole,) = files(tmp_path)
    assert whole.endswith(".tokens")


def test_of_several_at_once_one_makes_the_tokens(tmp_path):
    encode, found = Encode(), []
    together = threading.Barrier(4)

    def want():
        together.wait()
        found.append(tokens_on_disk("a", 1000, encode, tmp_path))

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encode.calls == 1
    for tokens in found:
        np.testing.assert_array_equal(tokens, TOKENS)


def test_no_tokens_are_an_empty_array(tmp_path):
    assert tokens_on_disk("a", 10, lambda: [], tmp_path).shape == (0,)


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be kept there") as caught:
        tokens_on_disk("a", 10, Encode(), tmp_path / "file" / "cache")
    assert str(tmp_path / "file" / "cache") in str(caught.value)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tokens_on_disk("a", 1000, Encode())
    assert cache_folder("tokens") == tmp_path / "aigc_jax" / "tokens"
    assert len(files(cache_folder("tokens"))) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder("tokens") == tmp_path / "home" / ".cache" / "aigc_jax" / "tokens"


def test_a_text_is_never_in_memory_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "LARGE", 100)
    monkeypatch.setattr(text, "_BLOCK", 2**14)
    monkeypatch.setattr(text, "CHUNK", 2**14)
    monkeypatch.setattr(token_file, "_BLOCK", 2**14)
    path = tmp_path / "story.txt"
    path.write_text(STORY * 1000)
    coder, size = ByteTokenizer(), path.stat().st_size
    assert size > 4_000_000
    tracemalloc.start()
    try:
        part = load_text("ignored", str(path)).train
        tokens = tokens_on_disk("a", 256, lambda: coder.encode_chunks(chunks(part)), tmp_path)
        tokens[:: 2**14].sum()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(tokens) > 0.8 * size
    assert most < size / 8
