"""The classifier from its options to the metrics that others take from it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from aigc_jax.checkpoint import digest
from aigc_jax.classifier import make
from aigc_jax.data.images import Images
from aigc_jax.data.own_images import load_own_images
from aigc_jax.errors import InputError
from experiments import sample
from experiments.catalogue import open_any
from experiments.cli.options import from_flags
from experiments.families.classifier import experiment as classifier
from experiments.families.classifier.options import STEPS, to_config
from experiments.fidelity import features
from experiments.runs import training

ROWS, COLUMNS = 8, 12


def stripes(count=90, seed=0):
    """Horizontal, vertical or no bright stripes in noise, and which of the three."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, ROWS, COLUMNS, 1), np.uint8)
    labels = rng.integers(0, 3, count)
    images[labels == 0, ::3] += 160
    images[labels == 1, :, ::3] += 160
    return images, labels


def options(**values):
    return from_flags(classifier.PRESETS, values)


RUN = "runs/classifier-stripes-default"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with stripes.npz and a finished run on it, with options of its own."""
    place = tmp_path_factory.mktemp("place")
    images, labels = stripes()
    np.savez(place / "stripes.npz", images=images, labels=labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        given = {"steps": 50, "batch_size": 40, "checkpoint_every": 25, "steps_per_dispatch": 25}
        asked = options(images="stripes.npz", workdir=RUN, seed=3, **given)
        training.train(classifier.EXPERIMENT, asked, "the command")
    return place


@pytest.fixture
def copy(place, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network_of(file, named=None, workdir="runs/another"):
    """What another experiment on a file of images gets."""
    asked = SimpleNamespace(
        dataset="mnist5k", data_dir=None, images=file, classifier=named, workdir=workdir
    )
    return features.feature_network(asked, load_own_images(file))


def config():
    return json.loads((Path(RUN) / "config.json").read_text())


def checkpoints(folder):
    steps = [p for p in (folder / "checkpoints").iterdir() if p.name.isdecimal()]
    return {p.name: json.loads((p / "meta/metadata").read_text())["sha256"] for p in steps}


class TestOptions:
    def test_steps_and_mirrors_suit_the_data(self):
        assert options().steps == STEPS["mnist5k"]
        assert options(dataset="mnist").steps == STEPS["mnist"]
        assert options(images="mine").steps == STEPS["your own data"]
        found = {
            d: options(dataset=d).config.mirrored for d in ("mnist5k", "mnist", "fashion_mnist")
        }
        assert found == {"mnist5k": False, "mnist": False, "fashion_mnist": True}

    def test_what_is_asked_for_goes_before_what_suits(self):
        asked = options(dataset="fashion_mnist", steps=7, mirror=False)
        assert (asked.steps, asked.config.mirrored) == (7, False)

    def test_they_reach_the_network(self):
        metadata = {"image_shape": [8, 12, 1], "classes": 3}
        config = to_config(options(steps=7, learning_rate=0.5), metadata)
        assert (config.image_shape, config.classes) == ((8, 12, 1), 3)
        assert (config.decay_steps, config.learning_rate) == (7, 0.5)
        assert not config.mirrored
        assert to_config(options(mirror=True), metadata).mirrored


def test_images_without_labels_are_refused(tmp_path):
    np.savez(tmp_path / "bare.npz", images=stripes()[0])
    asked = options(images=str(tmp_path / "bare.npz"), workdir=str(tmp_path / "run"))
    with pytest.raises(InputError, match="bare have no labels"):
        training.train(classifier.EXPERIMENT, asked, "")
    assert not (tmp_path / "run").exists()


def test_images_of_one_class_are_refused(tmp_path):
    images, _ = stripes()
    np.savez(tmp_path / "alike.npz", images=images, labels=np.zeros(len(images), int))
    asked = options(images=str(tmp_path / "alike.npz"), workdir=str(tmp_path / "run"))
    with pytest.raises(InputError, match="needs two classes"):
        training.train(classifier.EXPERIMENT, asked, "")
    assert not (tmp_path / "run").exists()


def test_a_classifier_draws_no_samples(place, capsys):
    run = open_any(str(place / RUN))
    assert run.experiment.sample is None
    assert not hasattr(run.algorithm, "sample")
    with pytest.raises(SystemExit) as ended:
        sample.main([f"--workdir={place / RUN}"])
    assert ended.value.code == 2
    assert "which has nothing to sample" in capsys.readouterr().err


def test_a_run_holds_accuracies_and_a_picture(place):
    lines = [json.loads(line) for line in (place / RUN / "metrics.jsonl").read_text().splitlines()]
    heldout = [line for line in lines if line["split"] == "heldout"][-1]
    assert heldout["step"] == 50
    baselines = {line["split"]: line["accuracy"] for line in lines if line["step"] == 0}
    _, labels = stripes()
    train, truth = np.split(labels[np.random.default_rng(90).permutation(90)], [81])
    assert baselines["most frequent class"] == np.mean(truth == np.bincount(train).argmax())
    assert heldout["accuracy"] == 1.0 > baselines["most frequent class"]
    assert heldout["label_nll_nats"] < 0.1
    assert "nearest class mean" in baselines
    assert classifier.EXPERIMENT.captions["hardest"] in (place / RUN / "index.html").read_text()


def test_steps_cannot_grow_since_the_learning_rate_follows_them(copy):
    stored = config()["options"]
    asked = options(**{**stored, "steps": 51})
    with pytest.raises(InputError, match="scheduled for steps=50"):
        training.train(classifier.EXPERIMENT, asked, "")


class TestFeatureNetwork:
    def test_it_says_what_it_is(self, copy):
        network = network_of("stripes.npz")
        assert (network.name, network.classes, network.accuracy) == ("stripes", 3, 1.0)
        weights = open_any(RUN).state.ema
        assert network.sha256 == digest([np.asarray(x) for x in jax.tree.leaves(weights)])
        zeroed = jax.tree.map(np.zeros_like, weights)
        assert features.weights_sha256(zeroed) != network.sha256

    def test_it_describes_bytes_by_the_averaged_weights(self, copy):
        network, run = network_of("stripes.npz"), open_any(RUN)
        images, labels = stripes(1500, seed=1)
        found, classes = network.describe(images)
        made = make(to_config(run.options, run.metadata))
        expected = made.features(run.state.ema, images[-3:].astype(np.float32) / 255)
        np.testing.assert_allclose(found[-3:], expected, rtol=1e-5, atol=1e-5)
        assert found.shape == (1500, 64)
        assert np.mean(classes == labels) > 0.95

    def test_it_is_trained_where_it_is_missing(self, copy, monkeypatch, capsys):
        monkeypatch.setitem(STEPS, "your own data", 50)
        shutil.rmtree(copy / "runs")
        network_of("stripes.npz")
        assert f"no finished classifier in {RUN}: training it first" in capsys.readouterr().err
        given = f"--images=stripes.npz --workdir={RUN} --batch_size=81"
        assert config()["command"] == f"python -m experiments.classifier --dataset=mnist5k {given}"
        assert checkpoints(copy / RUN).keys() == {"50"}

    def test_a_finished_one_is_only_read(self, place, copy, capsys):
        network_of("stripes.npz")
        assert "training it first" not in capsys.readouterr().err
        for path in (path for path in (copy / RUN).rglob("*") if path.is_file()):
            assert path.read_bytes() == (place / path.relative_to(copy)).read_bytes()

    @pytest.mark.parametrize("lost", ["checkpoints/50", "checkpoints"])
    def test_an_unfinished_one_is_finished_under_its_own_options(self, place, copy, lost):
        shutil.rmtree(copy / RUN / lost)
        network_of("stripes.npz")
        assert checkpoints(copy / RUN) == checkpoints(place / RUN)
        assert config()["command"] == "the command"

    def test_a_classifier_of_other_data_is_refused(self, copy):
        images, labels = stripes(seed=5)
        np.savez("stripes.npz", images=images, labels=labels)
        with pytest.raises(InputError, match="not those that the run in"):
            network_of("stripes.npz")

    def test_another_experiments_run_is_refused(self, copy):
        (copy / RUN / "config.json").write_text(json.dumps({**config(), "experiment": "vae"}))
        with pytest.raises(InputError, match=r"holds a run of experiments\.vae"):
            network_of("stripes.npz")

    @pytest.mark.parametrize(("named", "workdir"), [("new", "./new"), (None, RUN)])
    def test_a_run_is_not_put_into_its_classifiers_folder(self, copy, named, workdir):
        with pytest.raises(InputError, match="is the folder of the classifier"):
            network_of("stripes.npz", named, workdir)
        assert not (copy / "new").exists()

    def test_without_labels_it_must_be_named(self, copy):
        np.savez("bare.npz", images=stripes()[0])
        shutil.copytree(RUN, "runs/classifier-bare-default")
        with pytest.raises(InputError, match="--classifier"):
            network_of("bare.npz")
        assert network_of("bare.npz", RUN).name == "stripes"
        with pytest.raises(InputError, match="have no labels"):
            network_of("bare.npz", "nowhere")
        shutil.rmtree(copy / RUN / "checkpoints")
        with pytest.raises(InputError, match="have no labels"):
            network_of("bare.npz", RUN)

    def test_images_of_another_size_are_refused(self, copy):
        np.savez("bare.npz", images=np.zeros((30, 28, 28), np.uint8))
        with pytest.raises(InputError, match="8 x 12 x 1, not 28 x 28 x 1"):
            network_of("bare.npz", RUN)

    def test_triples_of_digits_are_evaluated_by_the_digits_own(self, monkeypatch, tmp_path):
        digits = Images("mnist", *stripes(), *stripes(seed=1))
        triples = Images("stacked_mnist", np.zeros((5, 8, 12, 3), np.uint8), None, None, None)
        trained, opened = [], []

        def describe(images):
            assert images.shape[1:] == (8, 12, 1)
            brightness = images.reshape(len(images), -1)[:, :1]
            return np.float32(brightness) / [[10, 20]], brightness[:, 0].astype(int)

        def open_stub(*asked):
            opened.append(asked)
            return features.FeatureNetwork("mnist", 10, "00", 0.99, describe)

        monkeypatch.chdir(tmp_path)
        files = {("mnist", "here"): digits}
        monkeypatch.setattr(features, "load_images", lambda *asked: files[asked])
        monkeypatch.setattr(features, "_train", lambda *asked: trained.append(asked))
        monkeypatch.setattr(features, "_open", open_stub)
        asked = SimpleNamespace(
            dataset="stacked_mnist", data_dir="here", images=None, classifier=None, workdir=None
        )
        network = features.feature_network(asked, triples)
        ((values, stored, images),) = trained
        assert (values["dataset"], values["data_dir"], stored) == ("mnist", "here", None)
        assert images is digits
        assert opened == [("runs/classifier-mnist-default", (8, 12, 1))]
        found, classes = network.describe(np.full((2, 8, 12, 3), [[[[3, 1, 4]]]], np.uint8))
        np.testing.assert_allclose(found, [[0.3, 0.15, 0.1, 0.05, 0.4, 0.2]] * 2)
        np.testing.assert_array_equal(classes, [314, 314])
        assert (network.classes, network.accuracy) == (1000, 0.99)
