"""Our tokenisers in the file format of Hugging Face's `tokenizers`, which other software reads."""

from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Theirs

from aigc_jax.data.bpe import BpeTokenizer, byte_signs
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer


def tokenizer_json(coder: Tokenizer) -> str:
    """The contents of a `tokenizer.json`: the same text becomes the same numbers there.

    A character that is not in an alphabet is left out there, where ours is refused.

    Raises:
      TypeError: a tokeniser of another kind.
    """
    match coder:
        case BpeTokenizer():
            return coder.to_json()
        case ByteTokenizer():
            model = Theirs(models.BPE({sign: byte for byte, sign in enumerate(byte_signs())}, []))
            model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            model.decoder = decoders.ByteLevel()
        case CharTokenizer():
            model = Theirs(models.BPE({sign: i for i, sign in enumerate(coder.alphabet)}, []))
            model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            model.decoder = decoders.Fuse()
        case _:
            raise TypeError(f"{type(coder).__name__} has no counterpart in `tokenizers`")
    return model.to_str()
