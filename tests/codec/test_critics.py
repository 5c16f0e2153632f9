"""Critics: how many places they judge, what each of them sees, and that no example goes unseen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import spectral
from aigc_jax.codec.networks import critics

LENGTH, PERIODS, WINDOWS, WIDTH = 50, (2, 5), (16, 32), 3
SIGNALS = {
    "image": (critics.of_images(2, WIDTH, 2), (5, 7, 2)),
    "video": (critics.of_videos(2, WIDTH, 1, 3), (5, 3, 4, 2)),
    "sound": (critics.of_sounds(PERIODS, WINDOWS, WIDTH), (LENGTH, 1)),
}


def ceil(a, b):
    return -(-a // b)


def of_a_period(p):
    """The number of its logits, and the shapes of its features."""
    count, shapes = ceil(LENGTH, p), []
    for i in range(3):
        count = ceil(count, 3)
        shapes.append((p, count, WIDTH * 2**i))
    return p * count, shapes


def of_a_window(window):
    sides, shapes = (8 * ceil(ceil(LENGTH, window // 4), 8), 8 * ceil(window // 2 + 1, 8)), []
    for i in range(3):
        sides = sides[0] // 2, sides[1] // 2
        shapes.append((*sides, WIDTH * 2**i))
    return sides[0] * sides[1], [*shapes, shapes[-1]]


EXPECTED = {
    # 5 × 7 is padded to 8 × 8, of which 4 × 4 and 2 × 2 remain.
    "image": [(4, [(4, 4, 3), (2, 2, 6), (2, 2, 6)])],
    # Three stretches of three frames; 4 × 4 becomes 2 × 2.
    "video": [(12, [(3, 2, 2, 3), (3, 2, 2, 3)])],
    "sound": [*map(of_a_period, PERIODS), *map(of_a_window, WINDOWS)],
}


@pytest.fixture(scope="module", params=SIGNALS)
def case(request):
    """Critics, their parameters, three signals, and what is expected."""
    made, shape = SIGNALS[request.param]
    params = jax.jit(made.init)(jax.random.key(0))
    x = np.float32(np.random.default_rng(3).random((3, *shape)))
    return made, params, x, EXPECTED[request.param]


def test_judgements_have_places_and_features(case):
    made, params, x, expected = case
    found = jax.eval_shape(made.judge, params, x)
    assert len(found) == len(expected)
    for (logits, features), (places, shapes) in zip(found, expected, strict=True):
        assert logits.shape == (3, places)
        assert [f.shape for f in features] == [(3, *shape) for shape in shapes]
        assert {f.dtype for f in (logits, *features)} == {np.dtype("float32")}


def test_every_critic_sees_each_example_and_that_alone(case):
    made, params, x, expected = case

    def of_one(x, i):
        """Of each critic, the logits and features of example i, as one number."""
        sums = []
        for logits, features in made.judge(params, x):
            # By unequal weights, since equal ones may cancel out.
            parts = [part[i].ravel() for part in (logits, *features)]
            sums.append(sum(jnp.sum(part * jnp.cos(jnp.arange(part.size))) for part in parts))
        return jnp.stack(sums)

    slopes = jax.jit(jax.jacrev(of_one))
    for i in range(3):
        found = np.abs(slopes(x, i)).max(tuple(range(2, x.ndim + 1)))
        assert found.shape == (len(expected), 3)
        assert (found[:, i] > 1e-3).all()
        assert not np.delete(found, i, axis=1).any()


def reached(judge, x):
    """bool `[P, T]`: which logits of an example depend on which of its samples or frames."""
    slope = np.asarray(jax.jit(jax.jacrev(judge))(x))
    return np.any(slope.reshape(len(slope), len(x), -1) != 0, axis=-1)


@pytest.mark.parametrize("period", [2, 5])
def test_a_period_sees_every_pth_sample(rng, period):
    made = critics.of_sounds((period,), (), 2)
    params = jax.jit(made.init)(jax.random.key(1))
    x = np.float32(rng.normal(size=(LENGTH + 1, 1)))  # not of whole periods
    depends = reached(lambda x: made.judge(params, x[None])[0][0][0], x)
    phases = np.arange(LENGTH + 1) % period
    own = depends.reshape(period, -1, LENGTH + 1)
    for phase in range(period):
        assert not own[phase][:, phases != phase].any()
        assert own[phase][:, phases == phase].any(0).all()


def test_a_period_looks_at_stretches_in_their_order(rng):
    made = critics.of_sounds((2,), (), 2)
    params = jax.jit(made.init)(jax.random.key(1))
    x = np.float32(rng.normal(size=(2 * 27 * 4, 1)))
    depends = reached(lambda x: made.judge(params, x[None])[0][0][0], x).reshape(2, 4, -1)
    # Logit n is of strides 3·3·3: of its own 27 samples of a phase, and of some before, none after.
    ends = 2 * 27 * np.arange(1, 5)
    for phase in range(2):
        for n, end in enumerate(ends):
            assert depends[phase, n, end - 54 + phase : end : 2].all()
            assert not depends[phase, n, end:].any()
    assert not depends[0, 3, : 2 * 27].any()  # nor is all that came before


@pytest.mark.parametrize(("frames", "stretches"), [(5, 3), (3, 1), (1, 1)])
def test_a_stretch_of_a_video_is_three_neighbouring_frames(rng, frames, stretches):
    made = critics.of_videos(1, 2, 1, 3)
    params = jax.jit(made.init)(jax.random.key(1))
    x = np.float32(rng.random((frames, 2, 2, 1)))
    depends = reached(lambda x: made.judge(params, x[None])[0][0][0], x)
    after = np.arange(frames)[None] - np.arange(stretches)[:, None]
    np.testing.assert_array_equal(depends, (after >= 0) & (after < 3))


def test_places_of_an_image_are_where_they_look(rng):
    made = critics.of_images(1, 2, 1)
    params = jax.jit(made.init)(jax.random.key(1))
    x = np.float32(rng.random((16, 12, 1)))
    columns = reached(
        lambda x: made.judge(params, x.swapaxes(0, 1)[None])[0][0][0], x.swapaxes(0, 1)
    )
    rows = reached(lambda x: made.judge(params, x[None])[0][0][0], x)
    # 4×4 of stride 2 under 3×3: of 8 pixels from 2i − 3 on.
    for depends, of, size in ((rows, np.arange(48) // 6, 16), (columns, np.arange(48) % 6, 12)):
        from_first = np.arange(size)[None] - (2 * of[:, None] - 3)
        np.testing.assert_array_equal(depends, (from_first >= 0) & (from_first < 8))


def test_a_window_judges_the_complex_spectrum(rng):
    """Of a scale about 1 where a sound is, and not of the magnitude alone."""
    made = critics.of_sounds((), (16,), 2)
    params = jax.jit(made.init)(jax.random.key(1))
    x = np.float32(rng.normal(size=(2, 64, 1)))
    (logits, _), *more = made.judge(params, x)
    assert not more
    found = spectral.stft(x[..., 0], 16, 4)
    parts = np.stack([found.real, found.imag], -1) / 2
    own = critics.Patches(2, 3).apply(patches_of(params), jnp.float32(parts))[0]
    np.testing.assert_allclose(logits, own, rtol=1e-5, atol=1e-5)
    assert np.abs(logits - made.judge(params, -x)[0][0]).min() > 0
    assert 0.5 < parts.std() < 2


def patches_of(params):
    (inner,) = params["critic_0"]["params"].values()
    return {"params": inner}
