"""Documents of a text: how they are split, encoded and found again."""

import numpy as np
import pytest

from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.documents import END, cut, documents_of, encoded, split_documents, until_end
from aigc_jax.data.text import Text
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer
from aigc_jax.errors import InputError

POEMS = [f"poem {i}\nfirst。\nsecond!" for i in range(30)]


def text(content):
    """As `load_text` splits it: by position, through the middle of a document."""
    boundary = len(content) * 9 // 10
    return Text("t", content[:boundary], content[boundary:])


def test_blank_lines_part_documents_and_a_tenth_is_held_out():
    found = split_documents(text("\n" + "\n\n".join(POEMS) + "\n"))
    train, heldout = documents_of(found.train), documents_of(found.heldout)
    assert len(heldout) == 3
    assert sorted(train + heldout) == sorted(POEMS)
    assert train == [poem for poem in POEMS if poem in train]
    assert found.unit == "characters"


@pytest.mark.parametrize("blank", ["\n\n\n\n", "\n \t\n", "\r\n\r\n"])
def test_any_blank_line_parts(blank):
    found = split_documents(text(blank.join(POEMS).replace("\nfirst", "\r\nfirst")))
    assert sorted(documents_of(found.train) + documents_of(found.heldout)) == sorted(POEMS)


def test_a_document_that_occurs_twice_is_on_one_side():
    found = split_documents(text("\n\n".join(POEMS * 2)))
    assert not set(documents_of(found.train)) & set(documents_of(found.heldout))
    assert len(documents_of(found.heldout)) == 6


def test_the_choice_does_not_depend_on_the_order():
    one, other = (split_documents(text("\n\n".join(p))) for p in (POEMS, POEMS[::-1]))
    assert set(documents_of(one.heldout)) == set(documents_of(other.heldout))


def test_indented_lines_stay_with_their_document():
    found = split_documents(text("\n\n".join(f"  {poem}\n    more" for poem in POEMS)))
    assert all(
        d.startswith("  poem") and d.endswith("\n    more") for d in documents_of(found.train)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n".join(POEMS[:9]), "9 distinct documents, separated by blank lines; at least 10"),
        ("\n\n".join(POEMS[:1] * 50), "1 distinct documents"),
        ("\n\n".join(POEMS) + END, "contains the character"),
    ],
)
def test_what_cannot_be_split_is_refused(content, message):
    with pytest.raises(InputError, match=f"t: .*{message}"):
        split_documents(text(content))


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_no_token_reaches_into_another_document(kind):
    part = split_documents(text("\n\n".join(POEMS))).train
    coder = {
        "char": lambda: CharTokenizer.of(part),
        "byte": ByteTokenizer,
        "bpe": lambda: BpeTokenizer.trained([part], 300),  # worst: pairs with the sign were seen
    }[kind]()
    tokens, (end,) = encoded(coder, part), coder.encode(END)
    documents = cut(tokens, end)
    assert [coder.decode(document[1:-1]) for document in documents] == documents_of(part)
    assert all(document[0] == document[-1] == end for document in documents)
    assert sum(len(document) - 1 for document in documents) == len(tokens) - 1
    alone = [coder.encode(document) for document in documents_of(part)]
    for document, own in zip(documents, alone, strict=True):
        np.testing.assert_array_equal(document[1:-1], own)


def test_a_text_ends_with_its_document():
    assert list(until_end(["ab", f"c{END}d", "e"])) == ["ab", "c"]
    assert list(until_end(["ab", "c"])) == ["ab", "c"]
