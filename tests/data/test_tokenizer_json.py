"""The file of a tokeniser gives the same numbers in other software."""

import pytest
from tokenizers import Tokenizer

from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.tokenizer_json import tokenizer_json
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer

STORY = "It was a dark and stormy night;\n\n\tKönig  e\u0301 你好 😀 fell.\r\n"


@pytest.mark.parametrize(
    "ours",
    [CharTokenizer.of(STORY), ByteTokenizer(), BpeTokenizer.trained([STORY * 3], 280)],
    ids=lambda coder: type(coder).__name__,
)
def test_tokens_have_the_same_numbers_there(ours):
    theirs = Tokenizer.from_str(tokenizer_json(ours))
    tokens = theirs.encode(STORY).ids
    assert tokens == ours.encode(STORY).tolist()
    assert theirs.decode(tokens) == STORY
    assert theirs.get_vocab_size() == ours.vocabulary_size


def test_another_kind_is_refused():
    with pytest.raises(TypeError, match="int has no counterpart"):
        tokenizer_json(3)
