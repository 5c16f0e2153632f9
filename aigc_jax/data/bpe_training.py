"""The training of a byte-level BPE, in a process of its own where it takes long.

`tokenizers` ignores signals while it trains, and the time to merge a word's pairs is quadratic in
its length. So words are bounded here, and long texts are trained on in another process: Ctrl-C
ends it at once, and so does the end of this one.

Only the training bounds words. The trained tokeniser cuts a text as GPT-2 does, so that it is
encoded the same here and elsewhere, and a text without longer words gives the same tokeniser as
without the bound.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from aigc_jax.errors import InputError
from aigc_jax.strict_json import dumps

LONGEST = 256  # characters of a word; the longest English and German ones have less than a third
AT_HAND = 2**15  # characters that are trained on in this process: under a second of any text

# GPT-2's words. The last of a run of blanks belongs to the word that follows.
_UNBOUNDED = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = _UNBOUNDED.replace("+", f"{{1,{LONGEST}}}")

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from aigc_jax.data.bpe_training import serve
serve()
"""


def trained(pieces: Iterable[str], vocabulary_size: int, specials: Sequence[str]) -> str:
    """The JSON of a tokeniser trained on the pieces; the same pieces give the same one.

    Args:
      pieces: of the text, read once.
      vocabulary_size: how many tokens at most, special tokens and bytes included.
      specials: the special tokens, which come first.

    Raises:
      InputError: the training process was ended, as happens when memory is short.
    """
    stream, some, length = iter(pieces), [], 0
    for piece in stream:
        some.append(piece)
        length += len(piece)
        if length > AT_HAND:
            return _elsewhere(chain(some, stream), vocabulary_size, specials)
    return _here(some, vocabulary_size, specials)


def _here(pieces: Iterable[str], vocabulary_size: int, specials: Sequence[str]) -> str:
    model = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    signs = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    model.pre_tokenizer = pre_tokenizers.Sequence([words, signs])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(pieces, trainer)
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    return model.to_str()


def _elsewhere(pieces: Iterable[str], vocabulary_size: int, specials: Sequence[str]) -> str:
    """What `_here` returns, from a process that ends if this one stops waiting for it."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is for this process to handle
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # its exit code says why
            for message in chain([(vocabulary_size, list(specials))], pieces, [None]):
                child.stdin.write(dumps(message).encode() + b"\n")
            child.stdin.flush()
        found = child.stdout.read()
    except BaseException:
        child.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
        code = child.wait()
    if code < 0:
        raise InputError(
            f"the BPE's training was ended by signal {-code}, as happens when memory is short; "
            "give it less text or a smaller vocabulary"
        )
    if code:
        raise RuntimeError(f"the BPE's training ended with code {code}")
    return found.decode()


def serve() -> None:
    """The other process: reads sizes and pieces from its input, and writes the JSON."""
    read = sys.stdin.buffer

    def pieces() -> Iterator[str]:
        while (piece := _next(read)) is not None:
            yield piece
        threading.Thread(target=_end_with_parent, daemon=True).start()

    size, specials = _next(read)
    sys.stdout.buffer.write(_here(pieces(), size, specials).encode())


def _next(file: Any) -> Any:
    """The next message, a line of JSON, if there is still a process that sends them."""
    line = file.readline()
    if not line.endswith(b"\n"):
        os._exit(1)
    return json.loads(line)


def _end_with_parent() -> None:
    """Ends this process, whatever it is doing, if its input closes before it has answered."""
    os.read(0, 1)
    os._exit(1)
