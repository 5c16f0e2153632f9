"""Models of other software, `transformers`: what it has made of them, and itself in test-all."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.inputs import MODELS, T, prompts, tokens, weights
from safetensors.numpy import load_file, save_file

from aigc_jax import transformer
from aigc_jax.data.bpe import BpeTokenizer
from aigc_jax.data.documents import END
from aigc_jax.data.tokenizer_json import tokenizer_json
from aigc_jax.data.tokenizers import ByteTokenizer, CharTokenizer
from aigc_jax.transformer import Architecture, Batch
from aigc_jax.transformer.generation import generate
from aigc_jax.transformer.interchange import load_folder, save_folder
from aigc_jax.transformer.networks import networks_of
from aigc_jax.transformer.sampling import GREEDY

STORED = json.loads((Path(__file__).parent.parent / "parity/transformers.json").read_text())


def logits_of(architecture, params, tokens):
    networks, tokens = transformer.networks_of(architecture), jnp.asarray(tokens)
    batch = Batch(tokens, tokens, jnp.ones(tokens.shape))
    return jax.jit(lambda p: networks.logits(p, networks.hidden(p, batch)))(params)


def most_probable(model):
    """The prompts, continued to T tokens."""
    networks = transformer.networks_of(model.architecture)

    @jax.jit
    def written(params, prompts):
        extend, cache = transformer.extender(params, networks), networks.start(params, 3, T)
        given = prompts, jnp.full(3, 4), jax.random.split(jax.random.key(0), 3)
        return generate(extend, cache, *given[:2], T, given[2], sampling=GREEDY)[0]

    return written(model.params, np.asarray(prompts()))


class TestStored:
    """Against what `transformers` has made of the same weights; see tests/parity."""

    @pytest.fixture(params=MODELS)
    def folder(self, request, tmp_path):
        """The model as that software writes it, and what it has made of it."""
        stored = STORED[request.param]
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs/config.json").write_text(json.dumps(stored["config"]))
        save_file(weights(stored["shapes"]), tmp_path / "theirs/model.safetensors")
        return tmp_path / "theirs", stored

    @pytest.mark.parametrize("scan", [False, True])
    def test_logits_are_the_same_and_tensors_go_back_as_they_came(self, folder, scan, tmp_path):
        place, stored = folder
        ours = load_folder(place, scan=scan)
        found = logits_of(ours.architecture, ours.params, tokens())
        np.testing.assert_allclose(found, stored["logits"], rtol=0, atol=1e-4)
        save_folder(tmp_path / "ours", ours.architecture, ours.params)
        back, came = (load_file(p / "model.safetensors") for p in (tmp_path / "ours", place))
        for name, tensor in came.items():
            np.testing.assert_array_equal(back.pop(name), tensor)
        assert not any(tensor.any() for tensor in back.values())  # biases that it has none of

    def test_the_most_probable_text_is_the_same_token_for_token(self, folder):
        np.testing.assert_array_equal(most_probable(load_folder(folder[0])), folder[1]["greedy"])


@pytest.mark.all
@pytest.mark.filterwarnings("ignore::Warning")  # theirs are not ours to mend
class TestTransformers:
    """Against Hugging Face's implementation, of the extra `bench`; both directions."""

    @pytest.fixture(params=MODELS)
    def model(self, request):
        pytest.importorskip("torch").manual_seed(0)
        transformers = pytest.importorskip("transformers")
        kind, settings = MODELS[request.param]
        config = getattr(transformers, kind)(**settings)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        # Biases of 0 and scales of 1 would hide where they are.
        rng = np.random.default_rng(1)
        for parameter in model.parameters():
            noise = 0.3 * rng.normal(size=tuple(parameter.shape))
            parameter.data += parameter.data.new_tensor(noise)
        return model

    def logits(self, model, tokens):
        torch = pytest.importorskip("torch")
        with torch.no_grad():
            return model(torch.tensor(tokens)).logits.numpy()

    @pytest.mark.parametrize("scan", [False, True])
    def test_logits_are_the_same_there_and_back(self, model, scan, tmp_path):
        transformers = pytest.importorskip("transformers")
        expected = self.logits(model, tokens())
        model.save_pretrained(tmp_path / "theirs")
        ours = load_folder(tmp_path / "theirs", scan=scan)
        found = logits_of(ours.architecture, ours.params, tokens())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
        save_folder(tmp_path / "ours", ours.architecture, ours.params)
        again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
        np.testing.assert_allclose(self.logits(again, tokens()), expected, rtol=0, atol=1e-4)

    def test_a_file_s_own_output_layer_is_kept_as_there(self, model, tmp_path):
        transformers = pytest.importorskip("transformers")
        if not model.config.tie_word_embeddings:
            pytest.skip("of models that tie")
        model.save_pretrained(tmp_path / "theirs")
        file = tmp_path / "theirs" / "model.safetensors"
        tensors = load_file(file)
        name = next(n for n in tensors if n.endswith(("wte.weight", "embed_tokens.weight")))
        own = np.random.default_rng(0).normal(size=tensors[name].shape).astype(np.float32)
        for kept in (
            {**tensors, "lm_head.weight": own},
            {**tensors, "lm_head.weight": tensors[name]},
        ):
            save_file(kept, file, metadata={"format": "pt"})
            again = transformers.AutoModelForCausalLM.from_pretrained(file.parent).eval()
            ours = load_folder(file.parent)
            found = logits_of(ours.architecture, ours.params, tokens())
            np.testing.assert_allclose(found, self.logits(again, tokens()), rtol=0, atol=1e-4)

    def test_the_most_probable_text_is_the_same_token_for_token(self, model, tmp_path):
        torch = pytest.importorskip("torch")
        # Their guess of what is padding would hide tokens 0 of the prompts.
        given = {"input_ids": torch.tensor(prompts()), "attention_mask": torch.ones(3, 4)}
        expected = model.generate(**given, max_length=T, do_sample=False, pad_token_id=0)
        model.save_pretrained(tmp_path / "theirs")
        ours = load_folder(tmp_path / "theirs")
        found = most_probable(ours)
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.all
@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_texts_that_end_do_there(kind, tmp_path):
    """A folder with an end of texts, as `export_hf` writes it of a run on documents."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    story = "abc 你好 DO"
    coder = {
        "char": lambda: CharTokenizer.of(story + END),
        "byte": ByteTokenizer,
        "bpe": lambda: BpeTokenizer.trained([story] * 3, 262),
    }[kind]()
    (end,) = coder.encode(END).tolist()
    architecture = Architecture(coder.vocabulary_size, context=24, layers=1, heads=2, width=8)
    params = jax.jit(networks_of(architecture).init)(jax.random.key(0))
    table = params["params"]["embedding"]
    table["embedding"] = table["embedding"].at[end].multiply(40)  # so that it is drawn soon
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
    files = {
        "tokenizer.json": tokenizer_json(coder, END),
        "tokenizer_config.json": json.dumps(settings),
    }
    save_folder(tmp_path / "out", architecture, params, files, end=end)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (theirs.bos_token_id, theirs.eos_token_id) == (end, end)
    assert len(theirs) == coder.vocabulary_size
    given = theirs(story, return_tensors="pt")
    assert given.input_ids[0].tolist() == [end, *coder.encode(story).tolist()]
    assert theirs.decode(given.input_ids[0], skip_special_tokens=True) == story
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    torch.manual_seed(0)
    drawn = model.generate(torch.full((64, 1), end), max_length=24, do_sample=True)[:, 1:].numpy()
    ended = (drawn == end).any(1)
    assert ended.sum() > 5
    for row in drawn[ended]:
        assert (row[(row == end).argmax() :] == end).all()
