"""Translation: sentences to tokens, batches of one length, beam search, and sentences again."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import State
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.packing import PackedPairs, bucket_by_length, pack_pairs, padded_length
from aigc_jax.data.pairs import Pair, Pairs
from aigc_jax.errors import InputError
from aigc_jax.log_stream import say
from aigc_jax.strict_json import dumps, loads
from aigc_jax.transformer.evaluate import LOGITS
from experiments.families.translate.options import TranslateOptions

PAD, BEGIN, END = range(3)
SPECIALS = ("<pad>", "<s>", "</s>")
MULTIPLE = 8  # of the lengths that sources are padded to, so that few are compiled
AT_ONCE = 2048  # source tokens translated at once, at most, unless one source has more


def train_tokenizer(pairs: Pairs, size: int) -> BpeTokenizer:
    """A BPE of both languages."""
    sentences = (f"{sentence}\n" for pair in pairs.train for sentence in pair)
    return BpeTokenizer.trained(sentences, size, SPECIALS)


def encode(coder: BpeTokenizer, sentences: Sequence[str]) -> list[np.ndarray]:
    """Tokens of each, and the end token."""
    return [np.append(coder.encode(sentence), np.int32(END)) for sentence in sentences]


def pack(coder: BpeTokenizer, pairs: Sequence[Pair], options: TranslateOptions) -> PackedPairs:
    """Pairs in rows of one length, so that each batch has about as many tokens.

    Raises:
      InputError: not one of them fits the context.
    """
    sources = encode(coder, [source for source, _ in pairs])
    targets = encode(coder, [target for _, target in pairs])
    targets = [np.insert(target, 0, BEGIN) for target in targets]
    packed = pack_pairs(sources, targets, options.source_context, options.context, options.seed)
    if packed.dropped == len(pairs):
        raise InputError(
            f"not one of {len(pairs)} pairs fits --source_context={options.source_context} and "
            f"--context={options.context}; increase them"
        )
    if packed.dropped:
        say(f"note: longer than the context and left out: {packed.dropped} of {len(pairs)} pairs")
    return packed


def batch_of(rows: Any) -> transformer.Batch:
    """A batch from the arrays of `PackedPairs`, without the count of those dropped."""
    tokens, whose, places, inputs, labels, weights, segments, positions = rows
    source = transformer.Source(tokens, whose, places)
    return transformer.Batch(inputs, labels, weights, segments, positions, None, source)


class SentenceTranslator:
    """Sentences in one language to sentences in another, by beam search.

    Args:
      options, metadata, algorithm: of the run.
    """

    def __init__(
        self,
        options: TranslateOptions,
        metadata: dict[str, Any],
        algorithm: transformer.Translator,
    ):
        self.options, self.algorithm = options, algorithm
        self.coder = tokenizer_of(metadata)

    @partial(jax.jit, static_argnums=0)
    def _search(self, state: State, sources: jax.Array, lengths: jax.Array) -> jax.Array:
        """The best translation of each source: int `[B, S]`, int `[B]` → int `[B, L]`."""
        found = self.algorithm.translate(
            state,
            transformer.padded_source(sources, lengths),
            begin=BEGIN,
            stop=END,
            beams=self.options.beams,
            alpha=self.options.alpha,
        )
        return found.tokens[:, 0]

    def reads(self, sentence: str) -> bool:
        """Whether a sentence is short enough for the model."""
        return len(encode(self.coder, [sentence.strip()])[0]) <= self.options.source_context

    def translate(self, state: State, sentences: Sequence[str]) -> list[str]:
        """The translations, in the order of the sentences; a blank one stays blank.

        Args:
          state: of the run.
          sentences: one line each.

        Raises:
          InputError: a sentence is longer than the model's context; says which.
        """
        tokens = encode(self.coder, [sentence.strip() for sentence in sentences])
        lengths = np.array([len(row) for row in tokens], np.int64)
        limit = self.options.source_context
        if len(tokens) and lengths.max() > limit:
            line = int((lengths > limit).argmax())
            raise InputError(
                f"line {line + 1} has {lengths[line]} tokens, and the model reads {limit}; "
                "shorten it"
            )
        translations = [""] * len(sentences)
        written = np.flatnonzero(lengths > 1)  # the end token alone is a blank line
        for batch in self._batches(tokens, lengths, written):
            for i, text in zip(batch, self._some(state, tokens, batch), strict=True):
                translations[i] = text
        return translations

    @property
    def _at_once(self) -> int:
        """Source tokens in a batch: fewer for a large vocabulary, but enough for any one source."""
        logits = self.options.beams * self.coder.vocabulary_size
        affordable = min(AT_ONCE, MULTIPLE * (LOGITS // logits))
        return max(affordable, int(padded_length(self.options.source_context, MULTIPLE)))

    def _batches(
        self, tokens: list[np.ndarray], lengths: np.ndarray, written: np.ndarray
    ) -> Iterator[np.ndarray]:
        for batch in bucket_by_length(lengths[written], self._at_once, MULTIPLE):
            yield written[batch]

    def _some(self, state: State, tokens: list[np.ndarray], batch: np.ndarray) -> list[str]:
        """Translations of sources of one bucket, in one program for all batches of it."""
        length = int(padded_length(max(len(tokens[i]) for i in batch), MULTIPLE))
        rows = self._at_once // length
        sources = np.full((rows, length), PAD, np.int32)
        lengths = np.ones(rows, np.int32)
        for row, i in enumerate(batch):
            lengths[row] = len(tokens[i])
            sources[row, : lengths[row]] = tokens[i]
        found = np.asarray(self._search(state, sources, lengths))[: len(batch), 1:]
        # A line must stay one line, whatever the model has written.
        return [" ".join(self.coder.decode(row).split()) for row in found]


def metadata_of(coder: BpeTokenizer) -> dict[str, Any]:
    """What config.json keeps of a translator: its tokeniser, as `tokenizers` writes it."""
    return {"bpe": dumps(loads(coder.to_json()), ensure_ascii=False)}


def tokenizer_of(metadata: dict[str, Any]) -> BpeTokenizer:
    """The tokeniser of a run."""
    return BpeTokenizer.from_json(metadata["bpe"])
