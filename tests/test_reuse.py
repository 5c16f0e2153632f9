"""A step works with networks of any library: the examples of the documentation learn."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import codec, gan, transformer, vae
from aigc_jax.codec.prior import Codes
from aigc_jax.errors import InputError
from aigc_jax.transformer.sampling import GREEDY

EXAMPLES = Path(__file__).parent.parent / "docs/snippets/reuse"
LIBRARIES = ("numpy", "nnx", "equinox")
IMAGE = np.float32(np.add.outer(np.arange(6), np.arange(6)) > 5)[..., None]
IMAGES = jnp.asarray(np.stack([IMAGE, IMAGE[::-1]] * 16))


@pytest.fixture
def example(request):
    """What the file defines: `networks`, `step` and `state`."""
    with jax.numpy_rank_promotion("allow"):  # of libraries, which is not ours to forbid
        yield runpy.run_path(str(EXAMPLES / f"{request.param}.py"))


def of(family):
    """The examples of a family, one for each library."""
    return pytest.mark.parametrize(
        "example", [f"{family}_{library}" for library in LIBRARIES], indirect=True, ids=LIBRARIES
    )


def learn(example, batch, steps):
    """The state after `steps` steps on one batch, and every info."""
    state, infos = example["state"], []
    for _ in range(steps):
        state, info = example["step"](state, batch)
        infos.append(info)
    return state, infos


@of("gan")
def test_a_gan_learns(example):
    """Its images come nearer to the nearest real one."""

    def distance(state):
        drawn = gan.sample(state, jax.random.key(1), 64, networks=example["networks"])
        return np.abs(drawn[:, None] - IMAGES[None, :2]).mean((2, 3, 4)).min(1).mean()

    state, _ = learn(example, IMAGES, 300)
    assert distance(state) < 0.5 * distance(example["state"])


@of("vae")
def test_a_vae_learns(example):
    """Two images that are one bit apart: more nats than those of coin flips are saved."""
    state, infos = learn(example, IMAGES, 300)
    assert infos[0].loss_nats > 20
    assert infos[-1].loss_nats < 3
    drawn = vae.sample(state, jax.random.key(1), 8, networks=example["networks"])
    assert drawn.shape == (8, 6, 6, 1)


@of("lm")
def test_a_language_model_learns_and_goes_on(example):
    """That after each number comes the next one, whichever a text begins with."""
    texts = (np.arange(7)[:, None] + np.arange(17)[None]) % 7
    state, infos = learn(example, transformer.next_tokens(jnp.asarray(texts)), 200)
    assert infos[0].nll_nats > 1.5
    assert infos[-1].nll_nats < 0.1
    prompt, known = jnp.array([3, 4]), {"networks": example["networks"], "sampling": GREEDY}
    written = transformer.sample(state, jax.random.key(1), 2, prompt, 12, **known)
    np.testing.assert_array_equal(written, [(3 + np.arange(12)) % 7] * 2)


@pytest.mark.parametrize("example", ["codec_numpy"], indirect=True)
def test_a_codec_and_its_prior_learn(example):
    """Two images of 18 codes each: once one code tells them apart, the others cost nothing."""
    state, infos = learn(example, IMAGES, 250)
    assert infos[0].reconstruction > 0.2
    assert infos[-1].reconstruction < 1e-3
    coder = codec.coder_of(state)
    batch = Codes(example["read"](coder, IMAGES))
    made = example["prior"]
    step, prior = jax.jit(made.step), made.init(jax.random.key(1))
    for _ in range(100):
        prior, info = step(prior, batch)
    np.testing.assert_allclose(info.nll_nats, np.log(2) / 18, atol=2e-3)
    codes = jax.jit(made.sample, static_argnums=2)(prior, jax.random.key(2), 16)
    parts = {name: example[name] for name in ("networks", "quantiser")}
    drawn = codec.decode(coder, codes, (6, 6), **parts)
    distance = np.abs(drawn[:, None] - IMAGES[None, :2]).max((2, 3, 4))
    assert (distance.min(1) < 0.1).all()
    assert set(distance.argmin(1)) == {0, 1}


@pytest.mark.parametrize("name", ["segments", "positions", "prefix", "source"])
def test_one_function_is_not_asked_for_what_it_does_not_know(name):
    networks = transformer.plain_networks(lambda key: {}, lambda params, tokens: tokens, 7, 16)
    batch = transformer.next_tokens(jnp.zeros((2, 5), jnp.int32))
    arrays = {"prefix": jnp.ones(2, jnp.int32), "source": transformer.Source(*batch[:2])}
    with pytest.raises(InputError, match=f"{name} must be None"):
        networks.hidden({}, batch._replace(**{name: arrays.get(name, batch.inputs)}))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path):
    _, _, code = path.read_text().split(chr(34) * 3, 2)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 25
