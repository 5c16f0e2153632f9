"""Training byte pairs: long words cost no more than short ones, and a signal is obeyed at once."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aigc_jax.data import bpe_training as training
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.text import chunks
from aigc_jax.errors import InputError

ORDINARY = (
    "It's a dark and stormy night; they'd gone.\n" * 3
    + "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft \n" * 3
    + "那是一个漆黑的暴风雨之夜。大雨倾盆，狂风卷过街道！\n" * 3
    + "def f(x):\n    if x >= 10:\n\t\treturn {'a': x ** 2}  # ² ½ Ⅷ\r\n\n\n" * 3
    + f"{'-' * 100}\n{' ' * 90}x   \n\n\n  \u00a0\u3000 नमस्ते สวัสดี e\u0301\n" * 3
)


def chinese(length):
    """A text without a sign or a space, of some characters oftener than of others."""
    drawn = np.random.default_rng(0).exponential(300, length)
    return "".join(map(chr, 0x4E00 + np.minimum(drawn, 3000).astype(int)))


def test_a_text_without_long_words_gives_the_tokeniser_of_unbounded_words():
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    given = {"vocab_size": 500, "min_frequency": 2, "initial_alphabet": alphabet}
    model.train_from_iterator([ORDINARY], trainers.BpeTrainer(**given, show_progress=False))
    assert BpeTokenizer.trained([ORDINARY], 500).to_json() == model.to_str()


LONG = {
    "letters": "a" * 40_000,
    "digits": "1" * 40_000,
    "signs": "=" * 40_000,
    "blanks": " " * 40_000 + "x",
    "line breaks": "\n" * 40_000,
    "characters of three bytes": "中" * 20_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_no_token_is_longer_than_a_bounded_word(text):
    coder = BpeTokenizer.trained([text, text], 1000)
    longest = max((coder.token_bytes(i) for i in range(coder.vocabulary_size)), key=len)
    # A word may have a space before it.
    assert len(longest.decode()) <= training.LONGEST + 1
    assert coder.decode(coder.encode(text)) == text


def test_a_text_without_a_cut_is_trained_on_in_seconds():
    text = chinese(200_000)
    begin = time.monotonic()
    coder = BpeTokenizer.trained(chunks(text), 8000)
    # One word of 32,768 characters after the other took 64 s, and bounded ones take 1.
    assert time.monotonic() - begin < 20
    assert coder.decode(coder.encode(text)) == text


def test_another_process_gives_the_same_tokeniser(monkeypatch):
    here = BpeTokenizer.trained([ORDINARY], 400, ("<s>",)).to_json()
    monkeypatch.setattr(training, "AT_HAND", 0)
    monkeypatch.setattr(training, "_here", lambda *_: pytest.fail("it was to be elsewhere"))
    assert BpeTokenizer.trained([ORDINARY], 400, ("<s>",)).to_json() == here


@pytest.mark.parametrize("after", [0.01, 1.5])
def test_a_signal_is_obeyed_at_once(after):
    def obey(*_):
        raise KeyboardInterrupt

    text = chinese(2_000_000)  # of about 10 s
    before = signal.signal(signal.SIGALRM, obey)
    try:
        begin = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, after)
        with pytest.raises(KeyboardInterrupt):
            BpeTokenizer.trained(chunks(text), 8000)
        assert time.monotonic() - begin < after + 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_takes_seconds_is_never_trained_where_no_signal_is_obeyed(monkeypatch):
    monkeypatch.setattr(training, "_here", lambda *_: pytest.fail("it was to be elsewhere"))
    drawn = np.random.default_rng(0).integers(0x4E00, 0x9FFF, 40_000)  # 131,000 took 3.7 s
    text = "".join(map(chr, drawn))
    assert BpeTokenizer.trained([text], 2000).vocabulary_size == 2000


def test_a_process_that_was_ended_is_one_line(monkeypatch):
    monkeypatch.setattr(training, "AT_HAND", 0)
    monkeypatch.setattr(training, "_CHILD", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(InputError, match="ended by signal 9, as happens when memory is short"):
        BpeTokenizer.trained(["a"] * 100_000, 400)
    monkeypatch.setattr(training, "_CHILD", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended with code 3"):
        BpeTokenizer.trained(["a"], 400)


@pytest.mark.parametrize("sent", ["some of it", "all of it"])
def test_the_other_process_ends_with_the_one_that_waits(sent):
    child = subprocess.Popen(
        [sys.executable, "-c", training._CHILD, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        for message in ((8000, ()), chinese(1_000_000 if sent == "all of it" else 10)):
            child.stdin.write(json.dumps(message).encode() + b"\n")
        if sent == "all of it":
            child.stdin.write(b"null\n")
        child.stdin.close()
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"")
    assert child.returncode == 1
