"""What a prior is evaluated by, with a codec and a prior that need no training."""

from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_codecs

from aigc_jax.classifier import Description
from aigc_jax.codec import Coder, coder_of
from aigc_jax.data.attributes import Attribute
from aigc_jax.errors import InputError
from aigc_jax.parallel import example_keys
from experiments.data.signals import Signals, integers
from experiments.families.prior import drawing, evaluator
from experiments.fidelity import signals as fidelity
from experiments.fidelity.features import FeatureNetwork, by_channel

JUDGING = SimpleNamespace(judges=True)


def prior_of(medium, sizes=(), captions=0):
    """A prior whose codes are drawn evenly, but the first, which is the label.

    Or that of `captions` tokens: the digit that it begins with.
    """
    shape = *tiny_codecs.GRIDS[medium], tiny_codecs.STAGES[medium]

    def digits(told):
        return told.tokens[:, 0] - ord("0")

    def sample(state, key, n, *, labels, captions, prompt, guidance, passes=12, temperature=4.5):
        keys = example_keys(key, n)
        codes = jax.vmap(lambda k: jax.random.randint(k, shape, 0, tiny_codecs.CODES))(keys)
        if labels is not None or captions is not None:
            first = digits(captions) if labels is None else labels[:, 0]
            codes = codes.at[(slice(None), *[0] * len(shape))].set(first)
            codes = codes.at[(slice(None), *[-1] * len(shape))].set(int(guidance))
        else:
            assert guidance == 1
        return codes if prompt is None else codes.at[:, : prompt.shape[1]].set(prompt)

    def nll(state, batch, keys):
        nats = jnp.sum(batch.codes, axis=tuple(range(1, batch.codes.ndim)))
        if batch.captions is not None:
            assert batch.labels is None
            return 0.5 * nats + 1000 * digits(batch.captions)
        return 0.5 * nats + (0 if batch.labels is None else 1000 * batch.labels[:, 0])

    conditions, length = SimpleNamespace(sizes=sizes), SimpleNamespace(length=captions)
    of = SimpleNamespace(conditions=conditions, captions=length, told=bool(sizes or captions))
    return SimpleNamespace(sample=sample, nll=nll, of=of)


class State(NamedTuple):
    coder: Coder


def state_of(medium):
    return State(coder_of(tiny_codecs.run_of(medium).state))


def signals_of(medium, heldout=9, train=40, labels=None, attributes=()):
    rng = np.random.default_rng(1)
    shape = *tiny_codecs.SIDES[medium], 3 if medium == "image" else 1
    if medium == "audio":
        parts = [rng.integers(-30000, 30000, (n, *shape), np.int16) for n in (train, heldout)]
    else:
        parts = [rng.integers(256, size=(n, *shape), dtype=np.uint8) for n in (train, heldout)]
    return Signals(
        source=None,
        medium=medium,
        train=parts[0],
        gather=lambda data, indices: data[indices],
        examples=train,
        heldout=parts[1],
        train_labels=labels and np.resize(labels, (train, 1)),
        heldout_labels=labels and np.resize(labels, (heldout, 1)),
        attributes=attributes,
        rate=tiny_codecs.run_of(medium).metadata["rate"],
    )


@pytest.fixture
def evaluating(monkeypatch):
    """`evaluating(signals, sizes, judge, texts, **options)`: of a tiny prior, and its state."""

    def make(signals, sizes=(), judge=None, texts=None, **options):
        networks = {signals.attributes[0].name: judge} if judge else {}
        monkeypatch.setattr(fidelity, "networks_of", lambda *_: networks)
        usual = {"given": 0, "guidance": 3.0, "passes": 12, "noise": 4.5, "seed": 0}
        made = prior_of(signals.medium, sizes, 5 if texts else 0)
        coding = tiny_codecs.codec_of(signals.medium)
        asked = SimpleNamespace(**usual | options)
        found = evaluator.Evaluator(asked, JUDGING, signals, made, coding, None, texts)
        return found, state_of(signals.medium)

    return make


def drawn(num, sizes=(), medium="image", **how):
    parts = prior_of(medium, sizes), tiny_codecs.codec_of(medium), medium
    how = {"guidance": 1.0, **how}
    sides = tiny_codecs.SIDES[medium]
    return drawing.draw(state_of(medium), jax.random.key(0), num, *parts, sides, **how)


def level(codes):
    return np.rint(255 * np.asarray(codes) / tiny_codecs.CODES)


def test_a_sample_depends_on_its_own_index_alone(monkeypatch):
    monkeypatch.setitem(drawing.ROWS, "image", 4)
    found = drawn(9)
    assert found.shape == (9, 6, 5, 3)
    assert len(np.unique(found, axis=0)) == 9
    np.testing.assert_array_equal(drawn(3), found[:3])
    np.testing.assert_array_equal(drawn(5), found[:5])


def test_labels_come_in_turn_or_as_they_are_asked(monkeypatch):
    monkeypatch.setitem(drawing.ROWS, "image", 4)
    first = drawn(7, sizes=(3,), guidance=5.0)[:, 0, 0, 0]
    np.testing.assert_array_equal(first, level([0, 1, 2, 0, 1, 2, 0]))
    labels = np.array([[2], [2], [0], [1], [1], [2]])
    found = drawn(6, sizes=(3,), guidance=5.0, labels=labels)
    np.testing.assert_array_equal(found[:, 0, 0, 0], level(labels[:, 0]))
    np.testing.assert_array_equal(found[:, -1, -1, 0], level([5] * 6))  # the weight that it has
    drawn(2, guidance=5.0)  # which a prior that knows no labels is not told


def test_each_row_continues_its_own_prompt(monkeypatch):
    monkeypatch.setitem(drawing.ROWS, "audio", 2)
    prompt = np.random.default_rng(0).integers(11, size=(5, 3, 2))
    found = drawn(5, medium="audio", prompt=prompt)
    begun = tiny_codecs.codec_of("audio").decode(state_of("audio").coder, prompt, (3 * 64,))
    np.testing.assert_array_equal(found[:, : 3 * 64], integers(begun, "audio"))


def test_all_combinations_the_first_attribute_the_fastest():
    found = drawing.in_turn(7, (2, 3))
    expected = [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2], [0, 0]]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("told", [False, True])
def test_the_codes_of_every_held_out_signal_count(evaluating, monkeypatch, told):
    monkeypatch.setitem(evaluator.AT_ONCE, "audio", 4)  # of nine: the last is alone
    labels = [0, 1] if told else None
    signals = signals_of("audio", labels=labels)
    made, state = evaluating(signals, sizes=(2,) if told else ())
    codec = tiny_codecs.codec_of("audio")
    codes = np.asarray(codec.encode(state.coder, signals.heldout / np.float32(2**15)))
    nats = 0.5 * codes.sum() + (1000 * 4 if told else 0)  # four of the labels are 1
    found = made.metrics(state)
    assert found["code_nll_nats"] == pytest.approx(nats / codes.size, rel=1e-6)
    assert found["signal_bits"] == pytest.approx(nats / 9 / np.log(2), rel=1e-6)


TEXTS = [f"{i % 3} ab" for i in range(9)]  # of held-out signals, whose labels they say


def test_the_codes_of_held_out_signals_are_judged_by_their_own_captions(evaluating, monkeypatch):
    monkeypatch.setitem(evaluator.AT_ONCE, "image", 4)  # of nine: the last is alone
    signals = signals_of("image")
    made, state = evaluating(signals, texts=TEXTS)
    codec = tiny_codecs.codec_of("image")
    codes = np.asarray(codec.encode(state.coder, signals.heldout / np.float32(255)))
    found = made.metrics(state)
    nats = 0.5 * codes.sum() + 1000 * 9
    assert found["code_nll_nats"] == pytest.approx(nats / codes.size, rel=1e-6)


def first_code(images):
    """A classifier that knows the class of a signal by its first code."""
    codes = np.rint(np.float32(images)[:, 0, 0, 0] * tiny_codecs.CODES / 255).astype(int)
    logits = np.eye(tiny_codecs.CODES, dtype=np.float32)[codes] * 9
    return Description(np.float32(codes)[:, None], logits)


def test_what_captions_say_is_what_samples_are_judged_by(evaluating):
    """And captions are those of held-out signals, drawn by chance."""
    classes = Attribute("class", ("zero", "one", "two"))
    signals = signals_of("image", labels=[0, 1, 2], attributes=(classes,))
    network = FeatureNetwork("judge", 3, "", 1.0, None, first_code)
    made, state = evaluating(signals, judge=network, texts=TEXTS)
    assert made.metrics(state)["class_accuracy"] == 1
    assert "class_accuracy" in made.baselines()["held-out signals"]
    wrong, _ = evaluating(signals, judge=network, texts=[*TEXTS[1:], TEXTS[0]])
    assert wrong.metrics(state)["class_accuracy"] == 0
    drawn = made.draw(state, 40, made._asked(40))
    assert set(drawn[:, 0, 0, 0]) == set(level([0, 1, 2]).astype(int))
    np.testing.assert_array_equal(drawn[:, -1, -1, 0], level([3] * 40))  # the weight of captions
    untold, _ = evaluating(signals, judge=network)
    assert "class_accuracy" not in untold.metrics(state) | untold.baselines()["held-out signals"]


def test_shown_are_samples_of_held_out_captions_and_these_as_a_text(evaluating, monkeypatch):
    monkeypatch.setitem(evaluator._SHOWN, "image", 3)
    made, state = evaluating(signals_of("image"), texts=TEXTS)
    shown = made.artefacts(state)
    assert (
        shown["sample_captions"].text == "0 ab\n1 ab\n2 ab\n"
    )  # of the first, the fifth and the last
    firsts = np.concatenate(shown["samples"].images)[:3, 0, 0, 0]
    np.testing.assert_allclose(firsts, np.arange(3) / tiny_codecs.CODES, atol=0.003)


@pytest.mark.parametrize("told", ["labels", "captions"])
def test_videos_are_continued_as_what_they_are(evaluating, monkeypatch, told):
    """Not as the labels in turn."""
    classes = Attribute("class", ("zero", "one", "two"))
    signals = signals_of("video", labels=[2, 0, 1], attributes=(classes,))
    texts = [f"{i} ab" for i in (2, 0, 1)] * 3
    how = {"sizes": (3,)} if told == "labels" else {"texts": texts}
    made, state = evaluating(signals, given=2, **how)
    monkeypatch.setattr(made, "draw", lambda state, num, asked, *_: asked)
    asked = made._continued(state, signals.heldout)
    np.testing.assert_array_equal(asked.labels[:, 0], [2, 0, 1] * 3)
    if told == "captions":
        np.testing.assert_array_equal(asked.captions.tokens[:, 0], [50, 48, 49] * 3)


def test_few_small_videos_are_predicted_beside_what_anybody_can_predict(evaluating):
    signals = signals_of("video", heldout=3)
    made, state = evaluating(signals, given=2)
    baselines = made.baselines()
    assert set(baselines) == {"blank", "last frame", "mean image"}
    truth = signals.heldout[:, 2:].astype(float) / 255
    mean = signals.train.mean((0, 1)) / 255
    expected = {"blank": 0, "mean image": mean, "last frame": signals.heldout[:, 1:2] / 255}
    for name, predicted in expected.items():
        squares = np.square(truth - predicted)
        error, peak = squares.sum((2, 3, 4)).mean(), -10 * np.log10(squares.mean((2, 3, 4))).mean()
        assert baselines[name] == {
            "prediction_mse_summed": pytest.approx(error, rel=1e-6),
            "prediction_psnr_db": pytest.approx(peak, rel=1e-6),
        }
    found = made.metrics(state)
    assert np.isfinite(found["prediction_mse_summed"])
    assert "prediction_ssim" not in found  # whose window does not fit
    shown = made.artefacts(state)
    assert set(shown) == {"samples", "predictions"}


def test_the_best_of_ten_continuations_is_none_worse_than_the_first(evaluating):
    signals = signals_of("video", heldout=3)
    made, state = evaluating(signals, given=2)
    scores = made.final_metrics(state)
    best = scores.pop("prediction_mse_summed_best_of_10")
    truth = signals.heldout[:, 2:].astype(float) / 255
    errors, mean = [], np.zeros(truth.shape)
    for s in range(10):
        key = jax.random.fold_in(made._key, 3 + s) if s else None
        found = made._continued(state, signals.heldout, key)[:, 2:] / 255
        errors.append(np.square(found - truth).sum((2, 3, 4)).mean(1))
        mean += found / 10
    assert best == pytest.approx(np.min(errors, axis=0).mean(), rel=1e-6)
    of_mean = np.square(mean - truth).sum((2, 3, 4)).mean()
    assert scores == {"prediction_mse_summed_mean_of_10": pytest.approx(of_mean, rel=1e-6)}
    assert len(np.unique(errors)) == 30
    assert np.mean(errors[0]) == pytest.approx(made.metrics(state)["prediction_mse_summed"])
    assert evaluating(signals)[0].final_metrics(state) == {}


def test_of_videos_as_many_are_drawn_as_the_distance_takes(evaluating, monkeypatch):
    """Fewer than are held out, beside what a perfect sampler is expected to get of so many."""
    monkeypatch.setitem(evaluator._DRAWN, "video", 7)
    classes = Attribute("class", ("a", "b"))
    signals = signals_of("video", heldout=30, labels=[0, 1], attributes=(classes,))
    made, state = evaluating(signals, sizes=(2,), judge=judge(2))
    asked, found = [], made.draw
    monkeypatch.setattr(made, "draw", lambda *how: asked.append(how[1]) or found(*how))
    metrics = made.metrics(state)
    assert asked == [7]
    assert metrics["fcd"] > 0
    expected = made._judges.expected_fcd(7)["fcd"]
    assert expected == pytest.approx(made._judges.expected_fcd(30)["fcd"] * (1 / 30 + 1 / 7) * 15)
    assert made.baselines()["held-out signals"]["fcd"] == expected


def test_unlabelled_images_have_the_distance_of_real_ones_beside_that_of_samples(evaluating):
    signals = signals_of("image")
    signals.heldout[3] = signals.train[7]
    made, state = evaluating(signals)
    (real,) = made.baselines().values()
    pixels = signals.train.reshape(40, -1) / 255
    rest = [np.linalg.norm(pixels - x.ravel() / 255, axis=1).min() for x in signals.heldout]
    assert rest[3] == 0
    assert real == {"nearest_train_distance": pytest.approx(np.mean(rest), rel=1e-5)}
    assert made.final_metrics(state).keys() == real.keys()


def judge(classes, spread=True):
    """A classifier that takes a signal for the class of its mean."""

    def classify(images):
        means = images.reshape(len(images), -1).mean(1)
        logits = np.eye(classes, dtype=np.float32)[means.astype(int) % classes] * 9
        features = np.stack([means, means**2], axis=1) if spread else np.zeros((len(images), 2))
        return Description(features.astype(np.float32), logits)

    return FeatureNetwork("judge", classes, "", 1.0, None, classify)


@pytest.mark.parametrize(("train", "spread", "bins"), [(40, True, True), (19, True, False)])
def test_few_sounds_of_which_a_class_is_not_in_training(evaluating, train, spread, bins):
    pitches = Attribute("pitch", ("C4", "D4", "E4"))
    signals = signals_of("audio", train=train, labels=[0, 1], attributes=(pitches,))
    made, state = evaluating(signals, sizes=(3,), judge=judge(3, spread))
    found = made.metrics(state)
    scores = {"inception_score", "modified_inception_score", "am_nats"}
    assert scores <= found.keys()
    assert ("ndb_share" in found) == bins
    assert {"pitch_accuracy", "pitch_within_50_cents"} <= found.keys()
    assert found.keys() - {"code_nll_nats", "signal_bits"} <= made.baselines()[
        "held-out signals"
    ].keys() | {"fcd"}


def test_features_that_are_all_alike_have_no_clusters(evaluating):
    classes = Attribute("class", ("a", "b"))
    signals = signals_of("audio", labels=[0, 1], attributes=(classes,))
    made, state = evaluating(signals, sizes=(2,), judge=judge(2, spread=False))
    assert "ndb_share" not in made.metrics(state)


def test_a_run_is_evaluated_by_the_same_classifier_each_time(monkeypatch):
    signals = signals_of("image", labels=[0, 1], attributes=(Attribute("class", ("a", "b")),))
    monkeypatch.setattr(fidelity, "networks_of", lambda *_: {"class": judge(2)})
    now = fidelity.sha256_of(fidelity.Judges(JUDGING, signals).networks)
    assert now == {"class": judge(2).sha256}
    fidelity.Judges(JUDGING, signals, now)
    for before in ({"class": "another"}, {}):
        with pytest.raises(InputError, match=r"the classifier of the class is not the one .* --cl"):
            fidelity.Judges(JUDGING, signals, before)
    told = {"class": "another"}
    with pytest.raises(InputError, match=r"\(its weights' SHA-256 differs\)$"):
        fidelity.Judges(JUDGING, signals._replace(medium="audio"), told)


def test_triples_of_digits_are_classified_by_channel():
    images = np.random.default_rng(0).integers(256, size=(4, 3, 3, 3), dtype=np.uint8)
    network = judge(10)
    parts = [network.classify(images[..., c : c + 1]) for c in range(3)]
    found = by_channel(network).classify(images)
    a, b, c = (part.labels for part in parts)
    np.testing.assert_array_equal(found.labels, 100 * a + 10 * b + c)
    assert found.features.shape == (4, 6)
    logs = [part.logits - np.log(np.exp(part.logits).sum(1, keepdims=True)) for part in parts]
    joint = found.logits - np.log(np.exp(np.float64(found.logits)).sum(1, keepdims=True))
    np.testing.assert_allclose(joint[:, 472], logs[0][:, 4] + logs[1][:, 7] + logs[2][:, 2], 1e-5)
