"""Models of other software: written out in NumPy, by the names in its files."""

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aigc_jax import transformer
from aigc_jax.errors import InputError
from aigc_jax.layers import LayerNorm, RMSNorm, gelu_tanh
from aigc_jax.transformer import LLAMA_BLOCKS, TEXTBOOK_BLOCKS, Architecture, Batch
from aigc_jax.transformer.architecture import epsilon_norm
from aigc_jax.transformer.interchange import load_folder, save_folder

V, T, L, N, K, D, F = 11, 12, 2, 4, 2, 16, 24
SIZE = D // N
SIZES = {"context": T, "layers": L, "heads": N, "width": D, "hidden": F}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": V,
    "n_positions": T,
    "n_embd": D,
    "n_layer": L,
    "n_head": N,
    "n_inner": F,
    "layer_norm_epsilon": 0.01,
}
LLAMA_SETTINGS = {
    "model_type": "llama",
    "vocab_size": V,
    "max_position_embeddings": T,
    "hidden_size": D,
    "num_hidden_layers": L,
    "num_attention_heads": N,
    "num_key_value_heads": K,
    "intermediate_size": F,
    "rms_norm_eps": 0.01,
    "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
}
MISTRAL = {**LLAMA_SETTINGS, "model_type": "mistral", "sliding_window": 3}
QWEN3 = {**LLAMA_SETTINGS, "model_type": "qwen3", "head_dim": SIZE, "rms_norm_eps": 1e-5}
TOKENS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def gpt2_shapes():
    shapes = {"wte.weight": (V, D), "wpe.weight": (T, D)}
    for i in range(L):
        layers = {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D)}
        layers |= {"mlp.c_fc": (D, F), "mlp.c_proj": (F, D)}
        for name, shape in layers.items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{i}.{name}.weight": (D,), f"h.{i}.{name}.bias": (D,)}
    shapes |= {"ln_f.weight": (D,), "ln_f.bias": (D,)}
    return {f"transformer.{name}": shape for name, shape in shapes.items()}


def llama_shapes(normed=False):
    shapes = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
    for i in range(L):
        layer = f"model.layers.{i}"
        shapes |= {f"{layer}.{n}layernorm.weight": (D,) for n in ("input_", "post_attention_")}
        rows = {"q": D, "k": K * SIZE, "v": K * SIZE, "o": D}
        shapes |= {f"{layer}.self_attn.{n}_proj.weight": (r, D) for n, r in rows.items()}
        shapes |= {f"{layer}.mlp.{n}_proj.weight": (F, D) for n in ("gate", "up")}
        shapes |= {f"{layer}.mlp.down_proj.weight": (D, F)}
        if normed:
            shapes |= {f"{layer}.self_attn.{n}_norm.weight": (SIZE,) for n in "qk"}
    return {**shapes, "lm_head.weight": (V, D)}


def random_tensors(shapes):
    rng = np.random.default_rng(0)
    return {n: 0.4 * rng.normal(size=shape).astype(np.float32) for n, shape in shapes.items()}


def write(folder, settings, tensors):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def gpt2(tmp_path):
    """A folder, what is in its config.json, and its tensors."""
    tensors = random_tensors(gpt2_shapes())
    return write(tmp_path / "gpt2", GPT2, tensors), GPT2, tensors


@pytest.fixture
def llama(tmp_path):
    tensors = random_tensors(llama_shapes())
    return write(tmp_path / "llama", LLAMA_SETTINGS, tensors), LLAMA_SETTINGS, tensors


def logits_of(architecture, params, tokens):
    networks, tokens = transformer.networks_of(architecture), np.asarray(tokens)
    batch = Batch(tokens, tokens, np.ones(tokens.shape, np.float32))
    logits = jax.jit(lambda p: networks.logits(p, networks.hidden(p, batch)))(params)
    return jax.device_get(logits)


def loaded_logits(folder, **more):
    model = load_folder(folder, **more)
    return logits_of(model.architecture, model.params, TOKENS[None])[0]


def made(**changes):
    """An architecture, and parameters of it that are neither 0 nor 1."""
    architecture = Architecture(V, **{**SIZES, **changes})
    shapes = jax.eval_shape(transformer.networks_of(architecture).init, jax.random.key(0))
    rng = np.random.default_rng(2)
    # By NumPy: a compiled `init` would take longer than what is tested.
    return architecture, jax.tree.map(lambda s: rng.normal(size=s.shape).astype(s.dtype), shapes)


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def mix(q, k, v, window=T):
    """Causal attention of one head."""
    apart = np.arange(len(q))[:, None] - np.arange(len(q))[None]
    seen = (apart >= 0) & (apart < window)
    return softmax(np.where(seen, q @ k.T / np.sqrt(SIZE), -np.inf)) @ v


def gpt2_logits(tensors, settings):
    """GPT-2 by its names: Radford et al. 2019, in NumPy, float64."""
    p = {name.removeprefix("transformer."): np.float64(x) for name, x in tensors.items()}

    def dense(name, x):
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(
            (centred**2).mean(-1, keepdims=True) + settings["layer_norm_epsilon"]
        )
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def gelu_new(x):
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    x = p["wte.weight"][TOKENS] + p["wpe.weight"][: len(TOKENS)]
    for i in range(L):
        h = f"h.{i}"
        q, k, v = np.split(dense(f"{h}.attn.c_attn", norm(f"{h}.ln_1", x)), 3, axis=-1)
        heads = [mix(*(np.split(a, N, axis=-1)[n] for a in (q, k, v))) for n in range(N)]
        x = x + dense(f"{h}.attn.c_proj", np.concatenate(heads, -1))
        x = x + dense(f"{h}.mlp.c_proj", gelu_new(dense(f"{h}.mlp.c_fc", norm(f"{h}.ln_2", x))))
    return norm("ln_f", x) @ p["wte.weight"].T


def llama_logits(tensors, settings):
    """Llama by its names; rotary positions turn halves, as complex numbers; NumPy, float64."""
    p = {name.removeprefix("model."): np.float64(x) for name, x in tensors.items()}
    base, window = settings["rope_parameters"]["rope_theta"], settings.get("sliding_window") or T

    def dense(name, x):
        return x @ p[f"{name}.weight"].T

    def norm(name, x):
        scale = np.sqrt((x**2).mean(-1, keepdims=True) + settings["rms_norm_eps"])
        return x / scale * p[f"{name}.weight"]

    def heads_of(layer, part, x):
        heads = np.split(dense(f"{layer}.{part}_proj", x), N if part == "q" else K, axis=-1)
        normed = f"{layer}.{part}_norm"
        return [norm(normed, h) for h in heads] if f"{normed}.weight" in p else heads

    def turn(x):
        half = SIZE // 2
        angles = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
        turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], -1)

    x = p["embed_tokens.weight"][TOKENS]
    for i in range(L):
        layer, mlp = f"layers.{i}.self_attn", f"layers.{i}.mlp"
        h = norm(f"layers.{i}.input_layernorm", x)
        q, k, v = (heads_of(layer, part, h) for part in "qkv")
        groups = [n * K // N for n in range(N)]
        mixed = [mix(turn(q[n]), turn(k[g]), v[g], window) for n, g in enumerate(groups)]
        x = x + dense(f"{layer}.o_proj", np.concatenate(mixed, -1))
        h = norm(f"layers.{i}.post_attention_layernorm", x)
        gate = dense(f"{mlp}.gate_proj", h)
        inner = gate / (1 + np.exp(-gate)) * dense(f"{mlp}.up_proj", h)
        x = x + dense(f"{mlp}.down_proj", inner)
    return dense("lm_head", norm("norm", x))


@pytest.mark.parametrize("scan", [False, True])
def test_gpt2_is_its_formulas(gpt2, scan):
    folder, settings, tensors = gpt2
    expected = gpt2_logits(tensors, settings)
    np.testing.assert_allclose(loaded_logits(folder, scan=scan), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings", [LLAMA_SETTINGS, MISTRAL, QWEN3], ids=lambda s: s["model_type"]
)
@pytest.mark.parametrize("scan", [False, True])
def test_llama_and_its_kin_are_their_formulas(settings, scan, tmp_path):
    tensors = random_tensors(llama_shapes(normed=settings is QWEN3))
    folder = write(tmp_path / "model", settings, tensors)
    expected = llama_logits(tensors, settings)
    np.testing.assert_allclose(loaded_logits(folder, scan=scan), expected, rtol=1e-4, atol=1e-4)


class TestFiles:
    def test_names_may_lack_the_prefix_and_files_carry_masks_and_the_tied_head(self, gpt2):
        folder, settings, tensors = gpt2
        before = loaded_logits(folder)
        bare = {name.removeprefix("transformer."): x for name, x in tensors.items()}
        more = {f"h.{i}.attn.bias": np.tri(T, dtype=np.float32)[None, None] for i in range(L)}
        more |= {"h.0.attn.masked_bias": np.float32([-1e4]), "lm_head.weight": bare["wte.weight"]}
        write(folder, settings, {**bare, **more})
        np.testing.assert_array_equal(loaded_logits(folder), before)

    @pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
    def test_numbers_of_other_widths_become_float32(self, llama, dtype):
        folder, settings, tensors = llama
        write(folder, settings, {name: x.astype(dtype) for name, x in tensors.items()})
        params = load_folder(folder).params
        assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
        name = "model.layers.1.mlp.up_proj.weight"
        np.testing.assert_array_equal(
            params["params"]["decoder"]["block_1"]["feed_forward"]["gate"]["kernel"],
            tensors[name].astype(dtype).astype(np.float32).T,
        )

    def test_shards_are_read_together(self, llama):
        folder, _, tensors = llama
        before, names = loaded_logits(folder), sorted(tensors)
        (folder / "model.safetensors").unlink()
        files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for file, part in files.items():
            save_file({name: tensors[name] for name in part}, folder / file)
        index = {"weight_map": {name: file for file, part in files.items() for name in part}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        np.testing.assert_array_equal(loaded_logits(folder), before)
        (folder / "b.safetensors").unlink()
        with pytest.raises(InputError, match=r"b\.safetensors is missing"):
            load_folder(folder)

    @pytest.mark.parametrize("name", ["../b.safetensors", "/b.safetensors", "x/y", ""])
    def test_shards_lie_in_the_folder(self, llama, name):
        folder, _, _ = llama
        (folder / "model.safetensors").rename(folder.parent / "b.safetensors")
        index = {"weight_map": {"model.norm.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(InputError, match="is not the name of a file beside it"):
            load_folder(folder)

    def test_rope_theta_may_lie_where_older_versions_wrote_it(self, llama):
        folder, settings, tensors = llama
        old = {k: v for k, v in settings.items() if k != "rope_parameters"}
        write(folder, {**old, "rope_theta": 50.0, "rope_scaling": None}, tensors)
        assert load_folder(folder).architecture.rotary_base == 50
        write(folder, old, tensors)
        assert load_folder(folder).architecture.rotary_base == 10_000

    def test_biases_of_attention_alone(self, llama):
        """The value's bias passes through attention as it is: o_proj of it is added."""
        folder, settings, tensors = llama
        rows = {"q": D, "k": K * SIZE, "v": K * SIZE, "o": D}
        biases = {
            f"model.layers.{i}.self_attn.{n}_proj.bias": np.zeros(rows[n], np.float32)
            for i in range(L)
            for n in rows
        }
        last = f"model.layers.{L - 1}.self_attn"
        biases[f"{last}.o_proj.bias"] = np.arange(D, dtype=np.float32)
        biased = write(folder, {**settings, "attention_bias": True}, {**tensors, **biases})
        found = loaded_logits(biased)
        shifted = np.repeat(np.arange(K * SIZE, dtype=np.float32).reshape(K, SIZE), N // K, 0)
        value = {f"{last}.v_proj.bias": np.arange(K * SIZE, dtype=np.float32)}
        out = {f"{last}.o_proj.bias": tensors[f"{last}.o_proj.weight"] @ shifted.ravel()}
        plain = {f"{last}.o_proj.bias": np.zeros(D, np.float32)}
        write(folder, {**settings, "attention_bias": True}, {**tensors, **biases, **plain, **value})
        through_value = loaded_logits(folder)
        write(folder, {**settings, "attention_bias": True}, {**tensors, **biases, **out})
        np.testing.assert_allclose(through_value, loaded_logits(folder), rtol=1e-4, atol=1e-4)
        assert not np.allclose(found, through_value)


REPRESENTED = {
    "gpt2": {"activation": gelu_tanh, "norm": epsilon_norm(LayerNorm, 1e-3)},
    "relu": {"activation": jax.nn.relu},
    "stacked": {"scan": True},
    "llama": {
        **LLAMA_BLOCKS,
        "num_kv_heads": K,
        "rotary_base": 50.0,
        "norm": epsilon_norm(RMSNorm, 1e-3),
    },
    "stacked-llama": {**LLAMA_BLOCKS, "num_kv_heads": K, "scan": True},
    "tied-llama-with-biases": {**LLAMA_BLOCKS, "tied": True, "bias": True},
    "mistral": {**LLAMA_BLOCKS, "window": 3},
    "qwen3": {**LLAMA_BLOCKS, "num_kv_heads": K, "query_key_norm": True},
}


@pytest.mark.parametrize("name", REPRESENTED)
def test_what_is_written_is_read_back_exactly(name, tmp_path, assert_identical):
    architecture, params = made(**REPRESENTED[name])
    save_folder(tmp_path / "model", architecture, params, {"note.txt": "hello"})
    model = load_folder(tmp_path / "model", scan=architecture.scan)
    assert_identical(model.params, params)
    tokens = TOKENS[None]
    np.testing.assert_array_equal(
        logits_of(model.architecture, model.params, tokens), logits_of(architecture, params, tokens)
    )
    written = sorted(p.name for p in (tmp_path / "model").iterdir())
    assert written == ["config.json", "model.safetensors", "note.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_linear_layers_without_biases_become_gpt2s_with_biases_of_0(tmp_path):
    architecture, params = made(bias=False)
    save_folder(tmp_path / "model", architecture, params)
    assert not load_file(tmp_path / "model" / "model.safetensors")[
        "transformer.h.1.mlp.c_fc.bias"
    ].any()
    found = loaded_logits(tmp_path / "model")
    expected = logits_of(architecture, params, TOKENS[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (TEXTBOOK_BLOCKS, "option positions=SINUSOIDAL"),
        ({"post_norm": True}, "option post_norm=True"),
        ({"num_kv_heads": K}, f"option num_kv_heads={K}"),
        ({"window": 3}, "option window=3"),
        ({"encoder_layers": 1}, "option encoder_layers=1"),
        ({"query_key_norm": True}, "option query_key_norm=True"),
        ({"score_cap": 5.0}, r"option score_cap=5\.0"),
        ({"scaled_embedding": True}, "option scaled_embedding=True"),
        ({"norm": RMSNorm}, "option norm=RMSNorm"),
        ({"activation": jnp.tanh}, "option activation"),
        ({"tied": False}, "parameter output/bias is not 0"),
        ({**LLAMA_BLOCKS, "norm": LayerNorm}, "option norm=LayerNorm"),
        ({**LLAMA_BLOCKS, "logit_cap": 2.0}, r"option logit_cap=2\.0"),
        ({**LLAMA_BLOCKS, "bias": True}, "parameter output/bias is not 0"),
        ({**LLAMA_BLOCKS, "window": 3, "query_key_norm": True}, "option window=3"),
        ({**LLAMA_BLOCKS, "window": 3, "bias": True}, "option bias=True"),
        (
            {**LLAMA_BLOCKS, "query_key_norm": True, "norm": epsilon_norm(RMSNorm, 1e-3)},
            r"option norm has ε 0\.001",
        ),
    ],
)
def test_what_has_no_counterpart_is_not_written(changes, message, tmp_path):
    architecture, params = made(**changes)
    with pytest.raises(InputError, match=message):
        save_folder(tmp_path / "model", architecture, params)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_written_whole_and_never_over_another(tmp_path, monkeypatch):
    architecture, params = made()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        save_folder(tmp_path / "mine", architecture, params)
    with pytest.raises(InputError, match="there is no folder"):
        save_folder(tmp_path / "none" / "model", architecture, params)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aigc_jax.transformer.interchange.folder.save_file", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space"):
        save_folder(tmp_path / "model", architecture, params)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    monkeypatch.undo()
    (tmp_path / "empty").mkdir()
    save_folder(tmp_path / "empty", architecture, params)
    assert (tmp_path / "empty" / "model.safetensors").stat().st_mode & 0o777 == 0o644


class TestRefusals:
    """Each is one line, begins with the folder and names what is wrong."""

    def refusal(self, folder, settings=None, tensors=None):
        if settings is not None:
            write(folder, settings, tensors)
        with pytest.raises(InputError) as caught:
            load_folder(folder)
        message = str(caught.value)
        assert message.startswith(str(folder))
        assert "\n" not in message
        return message

    def test_missing_left_over_and_misshaped_tensors_are_named_together(self, gpt2):
        folder, settings, tensors = gpt2
        wrong = {**tensors, "transformer.extra": tensors["transformer.ln_f.bias"]}
        del wrong["transformer.h.1.attn.c_attn.weight"]
        name = "transformer.h.0.mlp.c_fc.weight"
        wrong[name] = np.ascontiguousarray(wrong[name].T)
        message = self.refusal(folder, settings, wrong)
        assert "missing: h.1.attn.c_attn.weight;" in message
        assert "not of this model: extra;" in message
        assert f"h.0.mlp.c_fc.weight is [{F}, {D}], not [{D}, {F}]" in message

    def test_many_are_counted(self, llama):
        folder, settings, tensors = llama
        more = {**settings, "num_hidden_layers": L + 1}
        assert "and 5 more" in self.refusal(folder, more, tensors)
        fewer = {**settings, "num_hidden_layers": L - 1}
        assert "not of this model" in self.refusal(folder, fewer, tensors)

    def test_kv_heads_that_are_not_the_files(self, llama):
        folder, settings, tensors = llama
        message = self.refusal(folder, {**settings, "num_key_value_heads": N}, tensors)
        assert f"k_proj.weight is [{K * SIZE}, {D}], not [{D}, {D}]" in message

    def test_what_is_no_model(self, tmp_path):
        assert "is not a folder" in self.refusal(tmp_path / "none")
        (tmp_path / "file").write_text("hello")
        assert "is not a folder" in self.refusal(tmp_path / "file")
        (tmp_path / "empty").mkdir()
        assert "is not a model: it has no config.json" in self.refusal(tmp_path / "empty")

    @pytest.mark.parametrize("text", ["{", "[1]", "3", "\x80", "[" * 100_000])
    def test_config_json_that_is_no_object(self, gpt2, text):
        folder, _, _ = gpt2
        (folder / "config.json").write_bytes(text.encode("latin-1"))
        assert "config.json" in self.refusal(folder)

    def test_a_pickle_is_not_opened(self, gpt2):
        folder, _, _ = gpt2
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        assert "pytorch_model.bin is a pickle" in self.refusal(folder)
        (folder / "pytorch_model.bin").unlink()
        assert "there is no model.safetensors" in self.refusal(folder)

    @pytest.mark.parametrize("kept", [0, 7, 100, -1])
    def test_a_file_that_is_not_whole(self, gpt2, kept):
        folder, _, _ = gpt2
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:kept])
        assert "model.safetensors is damaged" in self.refusal(folder)

    def test_tensors_that_are_no_floats(self, gpt2):
        folder, settings, tensors = gpt2
        whole = {name: x.astype(np.int8) for name, x in tensors.items()}
        assert "is I8; only floats" in self.refusal(folder, settings, whole)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"model_type": "bert"}, "model_type 'bert'"),
            ({"model_type": None}, "model_type None"),
            ({"model_type": ["gpt2"]}, "model_type ['gpt2']"),
            ({"n_layer": None}, "n_layer is missing"),
            ({"n_layer": 0}, "n_layer must be a positive integer"),
            ({"n_head": "4"}, "n_head must be a positive integer"),
            ({"n_head": True}, "n_head must be a positive integer"),
            ({"n_head": 3}, "width 16 is not a multiple of 3 heads"),
            ({"layer_norm_epsilon": -1}, "layer_norm_epsilon must be a positive number"),
            ({"activation_function": "mish"}, "activation_function 'mish'"),
            ({"scale_attn_weights": False}, "scale_attn_weights False"),
            ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
            ({"add_cross_attention": True}, "add_cross_attention True"),
            ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false"),
            ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ],
    )
    def test_what_gpt2_blocks_of_ours_do_not_compute(self, gpt2, changes, named):
        folder, settings, tensors = gpt2
        assert named in self.refusal(folder, {**settings, **changes}, tensors)

    @pytest.mark.parametrize(
        ("settings", "changes", "named"),
        [
            (LLAMA_SETTINGS, {"head_dim": 8}, "head_dim 8"),
            (LLAMA_SETTINGS, {"rope_scaling": {"type": "linear"}}, "rope_scaling of type 'linear'"),
            (LLAMA_SETTINGS, {"rope_scaling": {"rope_type": "llama3"}}, "type 'llama3'"),
            (LLAMA_SETTINGS, {"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters of type"),
            (LLAMA_SETTINGS, {"rope_parameters": 3}, "rope_parameters must be an object"),
            (
                LLAMA_SETTINGS,
                {"rope_parameters": {"partial_rotary_factor": 0.5}},
                "partial_rotary_factor",
            ),
            (LLAMA_SETTINGS, {"hidden_act": "xielu"}, "hidden_act 'xielu'"),
            (LLAMA_SETTINGS, {"num_key_value_heads": 3}, "3 key-value heads"),
            (MISTRAL, {"sliding_window": 0}, "sliding_window must be a positive integer"),
            (MISTRAL, {"num_key_value_heads": None}, "num_key_value_heads is missing"),
            (QWEN3, {"rms_norm_eps": 1e-6}, "rms_norm_eps 1e-06"),
            (QWEN3, {"head_dim": None}, "head_dim is missing"),
            (QWEN3, {"use_sliding_window": True}, "use_sliding_window True"),
            (QWEN3, {"attention_bias": True}, "attention_bias True"),
        ],
    )
    def test_what_llama_blocks_of_ours_do_not_compute(self, settings, changes, named, tmp_path):
        tensors = random_tensors(llama_shapes(normed=settings is QWEN3))
        assert named in self.refusal(tmp_path / "model", {**settings, **changes}, tensors)
