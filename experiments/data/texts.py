"""Text for launchers: loading it, the tokeniser that a run keeps, tokens in memory or on disk."""

import math
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

import numpy as np

from aigc_jax.cache_folder import cache_folder
from aigc_jax.data import documents
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.text import Part, Text, chunks, count_bytes, load_text
from aigc_jax.data.token_file import tokens_on_disk
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from aigc_jax.errors import InputError
from aigc_jax.log_stream import say
from aigc_jax.metrics.ngrams import bigram_nll, unigram_nll
from aigc_jax.strict_json import dumps

SEPARATOR = "\n\n――――――――\n\n"
TOKENIZERS = ("char", "byte", "bpe")
VOCABULARY = 8000  # tokens of a BPE by default
TRAINED_ON = 2**25  # characters that a BPE is trained on, at most, from all over the text
LONG = 2**22  # characters whose encoding takes long enough to be announced
COUNTED = 2**24  # training tokens that are counted, at most, from the beginning


def load(options: Any) -> Text:
    """The text that the options name; with --documents as `documents.split_documents` gives it.

    Raises:
      InputError: it cannot be used, or --vocabulary does not fit the tokeniser.
    """
    if options.vocabulary is not None and options.tokenizer != "bpe":
        raise InputError(
            f"--vocabulary is for --tokenizer=bpe; --tokenizer={options.tokenizer} has its own"
        )
    text = load_text(options.dataset, options.text)
    return documents.split_documents(text) if options.documents else text


def metadata(options: Any, text: Text) -> dict[str, Any]:
    """The tokeniser, so that a run can be sampled from without its text.

    Returns:
      `alphabet`: the characters, or None where tokens are bytes or pairs of them. `bpe`, for the
      latter: its JSON, trained on the training part.
    """
    if options.tokenizer == "byte":
        return {"alphabet": None}
    if options.tokenizer == "bpe":
        every = -(-len(text.train) // TRAINED_ON) or 1
        some = islice(chunks(text.train), 0, None, every)
        trained_on = (chunk.replace(documents.END, "\n") for chunk in some)
        size, characters = options.vocabulary or VOCABULARY, -(-len(text.train) // every)
        say(f"training a BPE of {size} tokens on {characters} characters of {text.name}")
        coder = BpeTokenizer.trained(trained_on, size)
        return {"alphabet": None, "bpe": coder.to_json()}
    return {"alphabet": CharTokenizer.of(chain(chunks(text.train), chunks(text.heldout))).alphabet}


def tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    """The tokeniser of a run."""
    if metadata.get("bpe"):
        return BpeTokenizer.from_json(metadata["bpe"])
    return ByteTokenizer() if metadata["alphabet"] is None else CharTokenizer(metadata["alphabet"])


def first_token(options: Any, metadata: dict[str, Any]) -> str:
    """What unprompted text follows: the end of a document if there are documents, else a line
    break, or the first character of an alphabet that has none.
    """
    if options.documents:
        return documents.END
    return (
        "\n"
        if metadata["alphabet"] is None or "\n" in metadata["alphabet"]
        else metadata["alphabet"][0]
    )


def tokens(options: Any, metadata: dict[str, Any], text: Text) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the training and the held-out part, `[M]` each.

    Returns:
      int32 in memory, or unsigned and memory-mapped where the text is not in memory either.

    Raises:
      InputError: a part of it is shorter than one context.
    """
    coder, parts = tokenizer(metadata), {"training": text.train, "held-out": text.heldout}

    def encode(name: str, part: Part) -> np.ndarray:
        if len(part) > LONG and isinstance(part, str):
            say(f"encoding the {len(part)} characters of the {name} part of {text.name}")
        if options.documents:
            return documents.encoded(coder, part)
        if isinstance(part, str):
            return coder.encode(part)

        def announced() -> Iterable[np.ndarray]:
            say(f"tokens of the {name} part of {part.path} go to {folder}")
            return coder.encode_chunks(chunks(part))

        folder, decided = cache_folder("tokens"), [text.fingerprint(), name, metadata]
        identity = dumps(decided, sort_keys=True)
        return tokens_on_disk(identity, coder.vocabulary_size, announced, folder)

    found = {name: encode(name, part) for name, part in parts.items()}
    for name, some in found.items():
        if len(some) <= options.context and not options.documents:
            message = f"the {name} part of {text.name} has {len(some)} tokens"
            raise InputError(f"{message}, too few for a context of {options.context}")
    return found["training"], found["held-out"]


def counting_nlls(train: np.ndarray, heldout: np.ndarray, vocabulary_size: int) -> dict[str, float]:
    """Baselines by name: the held-out loss of models that count tokens, nats per token."""
    counted = train[:COUNTED], heldout, vocabulary_size
    return {"unigram counts": unigram_nll(*counted), "bigram counts": bigram_nll(*counted)}


def metrics_of(
    tokens: np.ndarray, part: Part, unread: int = 0
) -> Callable[[float], dict[str, float]]:
    """The metrics of a part of the text, as a function of the loss on it.

    Args:
      tokens: of the part, `[M]`; all but the first are predicted.
      part: of the text.
      unread: bytes of the part that no token stands for.

    Returns:
      `(nats per token) -> metrics`. The perplexity is exp(nats): the number of equally likely
      tokens that would be as hard to predict.
    """
    bits_per_byte = (len(tokens) - 1) / (count_bytes(part) - unread) / math.log(2)

    def metrics(nll: float) -> dict[str, float]:
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(nll))
        return {"nll_nats": nll, "bits_per_byte": nll * bits_per_byte, "perplexity": perplexity}

    return metrics
