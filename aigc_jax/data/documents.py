"""A text of many documents: poems, stories or messages, each modelled and evaluated on its own."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from aigc_jax.data.pairs import tenth
from aigc_jax.data.text import Part, Text, chunks
from aigc_jax.data.tokenizers import Tokenizer
from aigc_jax.errors import InputError

END = "\x1e"  # ASCII's record separator: one character, one byte, one token of every tokeniser
FEWEST = 10  # distinct documents, so that one is held out


def split_documents(text: Text) -> Text:
    """Documents of a text, separated by blank lines: nine tenths to train on, a tenth held out.

    The documents that `tenth` chooses are held out: one that occurs twice is never on both sides.

    Returns:
      A text in memory whose parts are END d₁ END d₂ END … END, in the order of the text.

    Raises:
      InputError: the text contains `END`, or has fewer than ten distinct documents.
    """
    whole = "".join(chunk for part in (text.train, text.heldout) for chunk in chunks(part))
    if END in whole:
        raise InputError(
            f"{text.name}: contains the character {END!r}, which marks the end of documents"
        )
    found = re.split(r"\n(?:[^\S\n]*\n)+", whole.replace("\r\n", "\n").strip("\n"))
    documents = [document for document in found if document.strip()]
    if len(set(documents)) < FEWEST:
        raise InputError(
            f"{text.name}: has {len(set(documents))} distinct documents, separated by blank "
            f"lines; at least {FEWEST} are needed"
        )
    heldout = tenth(documents)
    train = _joined(document for document in documents if document not in heldout)
    return Text(
        text.name, train, _joined(document for document in documents if document in heldout)
    )


def documents_of(part: Part) -> list[str]:
    """The documents of a part that `split_documents` gave."""
    return "".join(chunks(part)).strip(END).split(END)


def encoded(coder: Tokenizer, part: Part) -> np.ndarray:
    """Its tokens, int32 `[M]`: no token reaches from one document into another.

    Raises:
      InputError: the tokeniser lacks a character.
    """
    end = coder.encode(END)

    def pieces() -> Iterator[np.ndarray]:
        yield end
        for document in documents_of(part):
            yield coder.encode(document)
            yield end

    return np.concatenate(list(pieces()))


def cut(tokens: np.ndarray, end: int) -> list[np.ndarray]:
    """The documents in tokens that `encoded` gave, each from an end to the next, both included."""
    ends = np.flatnonzero(tokens == end)
    return [tokens[a : b + 1] for a, b in pairwise(ends)]


def until_end(pieces: Iterable[str]) -> Iterator[str]:
    """A text as it comes, in pieces, up to the first `END`."""
    for piece in pieces:
        before, end, _ = piece.partition(END)
        yield before
        if end:
            return


def _joined(documents: Iterable[str]) -> str:
    return END + "".join(document + END for document in documents)
