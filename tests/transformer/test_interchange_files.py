"""What files of models say beside the network: output layers, stop tokens, non-finite numbers."""

import errno
import json
import os
import stat
from functools import lru_cache

import jax
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.transformer import LLAMA_BLOCKS, Architecture, Batch, interchange
from aigc_jax.transformer.interchange import files, load_folder, save_folder

V, T = 11, 12
SIZES = {"context": T, "layers": 2, "heads": 4, "width": 16, "hidden": 24}
ARCHITECTURES = {
    "gpt2": Architecture(V, **SIZES),
    "llama": Architecture(V, **{**SIZES, **LLAMA_BLOCKS, "tied": True}),
}
EMBEDDING = {"gpt2": "transformer.wte.weight", "llama": "model.embed_tokens.weight"}
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2, 6]])
ORDER = np.roll(np.arange(V), 3)


@lru_cache
def params_of(kind):
    init = transformer.networks_of(ARCHITECTURES[kind]).init
    return jax.device_get(jax.jit(init)(jax.random.key(0)))


class Folder:
    """A model's folder, of tied embeddings."""

    def __init__(self, kind, path):
        save_folder(path, ARCHITECTURES[kind], params_of(kind))
        self.kind, self.path, self.embedding = kind, path, EMBEDDING[kind]
        self.tensors = load_file(path / "model.safetensors")

    def write(self, **changes):
        """Replaces tensors; None leaves one out."""
        named = {name.replace("__", "."): x for name, x in changes.items()}
        kept = {n: x for n, x in {**self.tensors, **named}.items() if x is not None}
        save_file(kept, self.path / "model.safetensors")

    def say(self, name, **changes):
        """Changes keys of a file."""
        file = self.path / name
        said = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**said, **changes}))

    def logits(self):
        model = load_folder(self.path)
        networks = transformer.networks_of(model.architecture)
        batch = Batch(TOKENS, TOKENS, np.ones(TOKENS.shape, np.float32))
        return jax.jit(lambda p: networks.logits(p, networks.hidden(p, batch)))(model.params)

    def refusal(self):
        with pytest.raises(InputError) as caught:
            load_folder(self.path)
        message = str(caught.value)
        assert message.startswith(f"{self.path}: ")
        assert message.isprintable()
        return message.removeprefix(f"{self.path}: ")


@pytest.fixture(params=ARCHITECTURES)
def folder(request, tmp_path):
    return Folder(request.param, tmp_path / "model")


def test_a_file_s_own_output_layer_is_kept_where_the_configuration_ties(folder):
    tied = folder.logits()
    folder.write(lm_head__weight=2 * folder.tensors[folder.embedding][ORDER])
    assert load_folder(folder.path).architecture.tied is False
    np.testing.assert_allclose(folder.logits(), 2 * tied[..., ORDER], rtol=1e-5, atol=1e-5)
    folder.write(lm_head__weight=folder.tensors[folder.embedding])
    assert load_folder(folder.path).architecture.tied is True
    np.testing.assert_array_equal(folder.logits(), tied)


def test_an_output_layer_alone_is_the_embedding_too(folder):
    """As safetensors may keep one of two tensors that share memory."""
    tied = folder.logits()
    folder.write(lm_head__weight=folder.tensors[folder.embedding], **{folder.embedding: None})
    np.testing.assert_array_equal(folder.logits(), tied)


def test_an_output_layer_of_another_shape_is_named(folder):
    folder.write(lm_head__weight=np.ones((V + 1, 16), np.float32))
    assert f"lm_head.weight is [{V + 1}, 16], not [{V}, 16]" in folder.refusal()


@pytest.mark.parametrize("name", ["model.rotary_emb.inv_freq", "rotary_emb.inv_freq"])
def test_frequencies_of_the_whole_model_are_passed_over(tmp_path, name):
    folder = Folder("llama", tmp_path / "model")
    before = folder.logits()
    layer = {"model.layers.1.self_attn.rotary_emb.inv_freq": np.ones(2, np.float32)}
    folder.write(**{name: np.ones(2, np.float32), **layer})
    np.testing.assert_array_equal(folder.logits(), before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_number_is_named(folder, value):
    layer = {
        "gpt2": "transformer.h.1.mlp.c_proj.bias",
        "llama": "model.layers.1.mlp.up_proj.weight",
    }
    name = layer[folder.kind]
    wrong = folder.tensors[name].astype(np.float64)
    wrong.flat[-1] = value
    folder.write(**{name: wrong})
    assert folder.refusal().startswith(f"tensor {name.split('.', 1)[1]} holds NaN, infinity")


def test_what_is_no_number_is_not_written(tmp_path):
    architecture, params = ARCHITECTURES["gpt2"], jax.tree.map(np.copy, params_of("gpt2"))
    params["params"]["positions"][2, 3] = np.nan
    with pytest.raises(InputError, match="parameter positions holds NaN"):
        save_folder(tmp_path / "out", architecture, params)
    assert not list(tmp_path.iterdir())


def test_names_of_tensors_cannot_write_to_a_terminal(folder):
    folder.write(**{"evil\x1b[2J\n": np.ones(1, np.float32), "x" * 999: np.ones(1, np.float32)})
    message = folder.refusal()
    assert r"not of this model: evil\x1b[2J\n," in message
    assert len(message) < 1000


def test_a_tensor_that_is_there_twice_is_named(folder):
    bare = folder.embedding.split(".", 1)[1]
    folder.write(**{bare: folder.tensors[folder.embedding]})
    assert f"tensor {bare} is there twice" in folder.refusal()
    (folder.path / "model.safetensors").unlink()
    for file in ("a.safetensors", "b.safetensors"):
        save_file(folder.tensors, folder.path / file)
    index = {"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    (folder.path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "is in another file too" in folder.refusal()


CONFIG, GENERATION = "config.json", "generation_config.json"


@pytest.mark.parametrize(
    ("config", "generation", "expected"),
    [
        ({}, None, (None, ())),
        ({"bos_token_id": 3, "eos_token_id": 4}, None, (3, (4,))),
        ({"eos_token_id": [4, 0]}, None, (None, (4, 0))),
        ({"bos_token_id": 3, "eos_token_id": 4}, {}, (3, (4,))),
        ({"bos_token_id": 3, "eos_token_id": 4}, {"eos_token_id": None}, (3, (4,))),
        ({"bos_token_id": 3, "eos_token_id": 4}, {"eos_token_id": [7, V - 1]}, (3, (7, V - 1))),
        ({"bos_token_id": 3, "eos_token_id": 4}, {"bos_token_id": 0}, (0, (4,))),
        ({"pad_token_id": -1}, {"eos_token_id": 0, "pad_token_id": V - 1}, (None, (0,))),
    ],
)
def test_generation_config_comes_before_config(tmp_path, config, generation, expected):
    folder = Folder("gpt2", tmp_path / "model")
    folder.say(CONFIG, **config)
    if generation is not None:
        folder.say(GENERATION, **generation)
    assert load_folder(folder.path).special == expected


@pytest.mark.parametrize("file", [CONFIG, GENERATION])
@pytest.mark.parametrize("key", ["bos_token_id", "eos_token_id", "pad_token_id"])
def test_tokens_that_are_none_are_refused_by_file_and_key(tmp_path, file, key):
    folder = Folder("gpt2", tmp_path / "model")
    wrong = [V, -2, 10**30, 1.0, "3", True, {}, [[3]], ["\x1b[2J"], [3, None], [V], [2.5]]
    for value in wrong + ([] if key == "eos_token_id" else [[], [3]]):
        folder.say(file, **{key: value})
        assert folder.refusal().startswith(f"{file}: {key} "), value


@pytest.mark.parametrize("text", ["{", "[1]", "3", "\x80", "[" * 100_000])
def test_generation_config_that_is_no_object(tmp_path, text):
    folder = Folder("gpt2", tmp_path / "model")
    (folder.path / GENERATION).write_bytes(text.encode("latin-1"))
    assert GENERATION in folder.refusal()


@pytest.mark.parametrize(
    ("kind", "key", "values"),
    [
        ("gpt2", "n_layer", [10**6, 2**31, 10**400, 1.5, [2]]),
        ("gpt2", "n_embd", [2**31, 10**30, float("nan")]),
        ("gpt2", "layer_norm_epsilon", [float("inf"), float("nan"), 10**400, "x", -0.0]),
        ("llama", "num_hidden_layers", [10**6, 10**30]),
        ("llama", "rope_theta", [float("inf"), 1e300, 0]),
        ("llama", "rope_parameters", [False, 0, [], "default"]),
        ("llama", "hidden_act", [3, None, "\x1b[2J", "x" * 10**6]),
    ],
)
def test_values_of_every_kind_are_refused_by_key(tmp_path, kind, key, values):
    folder = Folder(kind, tmp_path / "model")
    for value in values:
        folder.say(CONFIG, **{key: value})
        message = folder.refusal()
        assert message.startswith(f"config.json: {key} "), value
        assert len(message) < 300


def test_the_end_of_texts_is_written_into_both_files(tmp_path):
    save_folder(tmp_path / "out", ARCHITECTURES["llama"], params_of("llama"), end=5)
    for name in (CONFIG, GENERATION):
        said = json.loads((tmp_path / "out" / name).read_text())
        assert (said["bos_token_id"], said["eos_token_id"]) == (5, 5)
    assert load_folder(tmp_path / "out").special == (5, (5,))


def test_a_folder_is_written_as_the_umask_says_and_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    before = os.umask(0o027)
    try:
        save_folder(tmp_path / "link", ARCHITECTURES["gpt2"], params_of("gpt2"))
    finally:
        os.umask(before)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o750
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "target").iterdir()}
    assert modes == {0o640}


def test_weights_that_may_not_be_read_are_neither_missing_nor_damaged(folder, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(files, "open", refuse, raising=False)
    assert folder.refusal() == "model.safetensors: cannot be read (Permission denied)"


def test_a_full_disk_is_told_in_one_line_and_nothing_is_left(folder, monkeypatch):
    def fail(*_, **__):
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(interchange.folder, "save_file", fail)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        Folder(folder.kind, folder.path.parent / "other")
    assert [path.name for path in folder.path.parent.iterdir()] == ["model"]


def test_a_place_that_cannot_be_is_one_line(tmp_path):
    with pytest.raises(InputError, match="File name too long"):
        Folder("gpt2", tmp_path / ("n" * 256))
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(InputError, match="levels of symbolic links"):
        interchange.folder.check_new(tmp_path / "loop" / "model")
