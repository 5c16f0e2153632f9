"""What every algorithm keeps of the contract. By tracing alone: nothing is compiled."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms import ALGORITHMS, ROWS, Case, pairs

from aigc_jax import transformer
from aigc_jax.image_batch import Batch

KEY = jax.random.key(0)
INSTEAD = {"classifier": "logits", "classifier-video": "logits", "translator": "translate"}
INSTEAD |= dict.fromkeys(("codec-image", "codec-audio", "codec-video"), "decode")


def avals(tree):
    """Structure, shapes, dtypes and weak types: what decides whether a step is traced again."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(x.shape, x.dtype, x.weak_type) for x in leaves]


def arrays_alone(tree):
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))


class Traced(NamedTuple):
    """What two calls of `init` and of `step` leave behind."""

    case: Case
    state: Any  # shapes of what `init` makes
    after: Any  # of what `step` makes of it
    info: Any
    traces: int  # of the step, in two calls one after the other
    untouched: bool  # whether both left their arguments as they were
    pure: bool  # whether both made arrays alone
    programs: tuple[Any, Any]  # of either: operations and constants


@cache
def traced(name) -> Traced:
    case, pure, untouched = ALGORITHMS[name](), [], []

    def init(key):
        state = case.algorithm.init(key)
        pure.append(arrays_alone(state))
        return state

    def step(state, batch):
        before = jax.tree.flatten((state, batch))
        made = case.algorithm.step(state, batch)
        leaves, structure = jax.tree.flatten((state, batch))
        same = all(a is b for a, b in zip(leaves, before[0], strict=True))
        untouched.append(same and structure == before[1])
        pure.append(arrays_alone(made))
        return made

    begun = jax.jit(init).trace(KEY)
    jitted, state = jax.jit(step), begun.out_info
    stepped = jitted.trace(state, case.batch)
    after, info = stepped.out_info
    jitted.trace(after, case.batch)
    kept = len(untouched), all(untouched), all(pure)
    return Traced(case, state, after, info, *kept, (program(begun), program(stepped)))


def program(traced):
    """What a function computes: its operations and the constants among them."""
    closed = traced.jaxpr
    return str(closed.jaxpr), [np.asarray(x) for x in closed.consts if x.dtype.kind != "V"]


@pytest.fixture(params=ALGORITHMS, scope="module")
def name(request):
    return request.param


def test_states_and_infos_hold_arrays_alone(name):
    """Looked at where they are made: what leaves a `jit` is an array in any case."""
    assert traced(name).pure


def test_a_step_leaves_its_arguments_as_they_were(name):
    assert traced(name).untouched


def test_two_calls_are_one_trace(name):
    assert traced(name).traces == 1


def test_a_state_keeps_its_structure_shapes_and_dtypes(name):
    found = traced(name)
    assert avals(found.after) == avals(found.state)


def test_an_info_is_of_float32_scalars(name):
    info = traced(name).info
    assert hasattr(info, "_fields")
    assert {(x.shape, x.dtype) for x in jax.tree.leaves(info)} == {((), np.dtype("float32"))}


def test_the_same_arguments_give_the_same_result(name):
    """Nothing but the arguments decides: an algorithm made again is the same program."""
    found, (algorithm, batch) = traced(name), ALGORITHMS[name]()
    again = jax.jit(algorithm.init).trace(KEY), jax.jit(algorithm.step).trace(found.state, batch)
    for (code, constants), other in zip(found.programs, map(program, again), strict=True):
        assert code == other[0]
        for a, b in zip(constants, other[1], strict=True):
            np.testing.assert_array_equal(a, b)


def widened(batch):
    """As somebody's own data may be under x64, and not to be written to."""

    def wide(x):
        x = np.asarray(x, f"{x.dtype.kind}8")
        x.setflags(write=False)
        return x

    return jax.tree.map(wide, batch)


def test_x64_changes_no_dtype(name):
    found = traced(name)
    batch = widened(found.case.batch)
    with jax.enable_x64(True):
        state = jax.eval_shape(found.case.algorithm.init, KEY)
        after, info = jax.eval_shape(lambda s: found.case.algorithm.step(s, batch), state)
    assert avals(state) == avals(found.state)
    assert avals(after) == avals(found.after)
    assert {x.dtype for x in jax.tree.leaves(info)} == {np.dtype("float32")}


def drawn(name, algorithm, state):
    """Two samples, of all that a family can draw; None where it cannot."""
    if not hasattr(algorithm, "sample"):
        return None
    told = (jnp.array([1, 2]), 12) if name.startswith("lm") else ()
    return algorithm.sample(state, KEY, 2, *told)


@pytest.mark.parametrize("x64", [False, True])
def test_sample_draws_so_many_where_there_is_one(name, x64):
    case, state = traced(name).case, traced(name).state
    if name in INSTEAD:
        assert not hasattr(case.algorithm, "sample")
        assert callable(getattr(case.algorithm, INSTEAD[name]))
        return
    with jax.enable_x64(x64):
        samples = jax.eval_shape(lambda s: drawn(name, case.algorithm, s), state)
    if name.startswith("lm"):
        assert (samples.shape, samples.dtype) == ((2, 12), np.dtype("int32"))
    else:
        assert (samples.shape, samples.dtype) == (
            (2, *pixels(case.batch).shape[1:]),
            np.dtype("float32"),
        )


def pixels(batch):
    return batch.images if isinstance(batch, Batch) else batch


def wrong_images(batch):
    """By what is wrong with it: a batch, and what the error must say."""
    x = pixels(batch)
    sides = ", ".join(map(str, x.shape[1:]))
    shape = rf"images must be of shape \[B, {sides}\], got "
    for what, wrong in {
        "no channels": x[..., 0],
        "one image": x[0],
        "height": x[:, 1:],
        "width": x[:, :, 1:],
        "channels": np.repeat(x, 3, axis=-1),
    }.items():
        own = batch._replace(images=wrong) if isinstance(batch, Batch) else wrong
        yield what, own, shape + str(wrong.shape).replace("(", r"\(").replace(")", r"\)")
    if isinstance(batch, Batch):
        yield "images alone", batch.images, "labels are missing"
        yield "no labels", batch._replace(labels=None), "labels are missing"
        shape = r"labels must be of shape \(4,\), got "
        yield "few labels", batch._replace(labels=batch.labels[1:]), shape + r"\(3,\)"
        yield "one-hot labels", batch._replace(labels=np.eye(4, dtype=int)), shape + r"\(4, 4\)"


def wrong_signals(batch):
    """The same of signals, of which other sides are welcome."""
    sides = batch.ndim - 2
    shape = rf"signals must be of shape \[B, \*S, 1\], S {sides} sides? of at least 1, got "
    for what, wrong in {
        "no channels": batch[..., 0],
        "one signal": batch[0],
        "another axis": batch[:, None],
        "nothing": batch[:, :0],
        "channels": np.repeat(batch, 3, axis=-1),
    }.items():
        yield what, wrong, shape + str(wrong.shape).replace("(", r"\(").replace(")", r"\)")


def wrong_tokens(batch):
    """The same of tokens."""
    rows, ones = np.arange(ROWS), np.ones((ROWS, 8), np.int32)
    yield "tokens alone", batch.inputs, "batch must be a transformer.Batch"
    flat = jax.tree.map(lambda x: x[0], batch)
    yield "one row", flat, r"inputs must be of shape \[B, T\], T at least 1, got \(8,\)"
    none = batch._replace(inputs=batch.inputs[:, :0])
    yield "no tokens", none, r"inputs must be of shape \[B, T\], T at least 1, got \(4, 0\)"
    for name in ("labels", "weights", "segments", "positions"):
        of = ones if getattr(batch, name) is None else getattr(batch, name)
        message = rf"{name} must be of shape \(4, 8\), got "
        yield f"short {name}", batch._replace(**{name: of[:, 1:]}), message + r"\(4, 7\)"
        yield f"few {name}", batch._replace(**{name: of[1:]}), message + r"\(3, 8\)"
        yield f"flat {name}", batch._replace(**{name: of[:, 0]}), message + r"\(4,\)"
    yield "prefix", batch._replace(prefix=rows[:, None]), r"prefix must be of shape \(4,\), got"
    source = pairs().source
    if batch.source is None:
        yield "source", batch._replace(source=source), "source is for models with an encoder"
        return
    yield "no source", batch._replace(source=None), "source is missing"
    for what, wrong, message in (
        ("few", jax.tree.map(lambda x: x[1:], source), r"of shape \[4, S\], got \(3, 6\)"),
        ("flat", jax.tree.map(lambda x: x[0], source), r"of shape \[4, S\], got \(6,\)"),
        (
            "no tokens",
            jax.tree.map(lambda x: x[:, :0], source),
            r"of shape \[B, S\], S at least 1, got",
        ),
    ):
        yield f"source: {what}", batch._replace(source=wrong), f"source.tokens must be {message}"
    short = source._replace(segments=source.segments[:, 1:])
    message = r"source.segments must be of shape \(4, 6\), got \(4, 5\)"
    yield "source: segments", batch._replace(source=short), message


def test_wrong_shapes_are_refused_by_one_line_that_names_the_argument(name):
    case, state = traced(name).case, traced(name).state
    kind = wrong_signals if name.startswith("codec") else wrong_images
    if isinstance(case.batch, transformer.Batch):
        kind = wrong_tokens
    for what, batch, message in kind(case.batch):
        with pytest.raises(ValueError, match=message) as caught:  # noqa: PT012
            jax.eval_shape(case.algorithm.step, state, batch)
            pytest.fail(f"{what} is learned")
        assert "\n" not in str(caught.value), what


@pytest.mark.parametrize("name", ["lm-nano", "translator"])
def test_more_tokens_than_the_context_are_refused(name):
    case, state = traced(name).case, traced(name).state
    longer = jax.tree.map(lambda x: np.repeat(x, 2, axis=1), case.batch)
    with pytest.raises(ValueError, match="16 tokens are more than context=8"):
        jax.eval_shape(case.algorithm.step, state, longer._replace(source=case.batch.source))
