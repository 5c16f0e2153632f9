"""Our tokenisers in the file format of Hugging Face's `tokenizers`, which other software reads."""

import json

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Theirs

from aigc_jax.data.bpe import BpeTokenizer, byte_signs
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from aigc_jax.strict_json import dumps


def tokenizer_json(coder: Tokenizer, end: str | None = None) -> str:
    """The contents of a `tokenizer.json`: the same text becomes the same tokens there.

    A character that is not in an alphabet is dropped there, where ours is refused.

    Args:
      coder: one of ours.
      end: a character of one token, which becomes a special one there: it is prepended to each text
        that is encoded with special tokens, and is not shown where they are skipped.

    Raises:
      TypeError: a tokeniser of another kind.
    """
    match coder:
        case BpeTokenizer():
            text = coder.to_json()
        case ByteTokenizer():
            model = Theirs(models.BPE({sign: byte for byte, sign in enumerate(byte_signs())}, []))
            model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            model.decoder = decoders.ByteLevel()
            text = model.to_str()
        case CharTokenizer():
            model = Theirs(models.BPE({sign: i for i, sign in enumerate(coder.alphabet)}, []))
            model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            model.decoder = decoders.Fuse()
            text = model.to_str()
        case _:
            raise TypeError(f"{type(coder).__name__} has no counterpart in `tokenizers`")
    return text if end is None else _with_end(text, end, int(coder.encode(end)[0]))


def _with_end(text: str, end: str, number: int) -> str:
    """The contents with a special token, which has the id that its character had.

    A vocabulary writes a byte under another name, which may be a letter of some language: so the
    token takes the name of the character, and not the character that of the token.
    """
    contents = json.loads(text)
    vocabulary = contents["model"]["vocab"]
    contents["model"]["vocab"] = {end if i == number else s: i for s, i in vocabulary.items()}
    model = Theirs.from_str(dumps(contents))
    model.add_special_tokens([AddedToken(end, normalized=False, special=True)])
    model.post_processor = processors.TemplateProcessing(
        single=f"{end} $A", pair=f"{end} $A {end} $B:1", special_tokens=[(end, number)]
    )
    return model.to_str()
