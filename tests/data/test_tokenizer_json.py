"""The file of a tokeniser gives the same numbers in other software."""

import pytest
from tokenizers import Tokenizer

from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.documents import END
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


@pytest.mark.parametrize(
    "ours",
    [CharTokenizer.of(STORY + END), ByteTokenizer(), BpeTokenizer.trained([STORY * 3], 280)],
    ids=lambda coder: type(coder).__name__,
)
def test_an_end_is_a_special_token_of_the_same_number_there(ours):
    theirs = Tokenizer.from_str(tokenizer_json(ours, END))
    (end,) = ours.encode(END).tolist()
    # The byte of the end is called Ğ in a vocabulary, which a Turkish text has too.
    story = STORY if isinstance(ours, CharTokenizer) else STORY + "DOĞRU"
    tokens = ours.encode(story).tolist()
    assert theirs.encode(story).ids == [end, *tokens]
    assert theirs.encode(story, add_special_tokens=False).ids == tokens
    assert theirs.encode(f"{story}{END}", add_special_tokens=False).ids == [*tokens, end]
    assert theirs.decode([end, *tokens, end]) == story
    assert theirs.decode([end, *tokens, end], skip_special_tokens=False) == f"{END}{story}{END}"
    assert theirs.get_vocab_size() == ours.vocabulary_size


def test_another_kind_is_refused():
    with pytest.raises(TypeError, match="int has no counterpart"):
        tokenizer_json(3)
