"""What pages say about metrics: those of each launcher's presets, and of other options.

Nothing is trained: the names come from the launchers' own evaluators, where these are quick.
"""

import dataclasses
import html
import math
import re
from functools import cache, partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_codecs import OF_PREDICTIONS

from aigc_jax import classifier, codec, gan, optim, transformer, vae, vq
from aigc_jax.data.images import Images
from aigc_jax.likelihoods import LIKELIHOODS
from aigc_jax.report import write_page
from aigc_jax.run_folder import RunFolder
from aigc_jax.settings import from_json
from experiments.catalogue import EXPERIMENTS
from experiments.cli.options import from_flags, from_stored, stored_options
from experiments.data.texts import metrics_of
from experiments.families.translate.evaluator import scores
from experiments.families.vae.artefacts import artefacts, latents_text
from experiments.families.vae.evaluator import Evaluator
from experiments.families.vae.options import PRESETS, to_config
from experiments.fidelity import evaluator as fidelity
from experiments.fidelity.features import FeatureNetwork
from experiments.fidelity.signals import FRAME
from experiments.runs.config import describe

SHAPE = (8, 8, 1)
METADATA = {"image_shape": list(SHAPE), "classes": 3, "classifier_sha256": "ab"}


PIXELS = np.random.default_rng(0).integers(256, size=(40, *SHAPE), dtype=np.uint8)
LABELS = np.arange(40) % 3
IMAGES = Images("noise", PIXELS[:30], LABELS[:30], PIXELS[30:], LABELS[30:])


def pointlike(image_shape, latent_size, classes, outputs, shared, prior=vae.STANDARD_NORMAL):
    """An architecture of no parameters."""

    def encode(params, x):
        zeros = jnp.zeros((len(x), latent_size)) + x.mean((1, 2))
        return zeros, zeros

    def decode(params, z):
        return jnp.zeros((len(z), *image_shape[:2], outputs + shared)) + z[:, :1, None, None]

    return vae.one_layer(lambda key: {}, encode, decode, latent_size, classes, prior)


@cache
def vae_metrics(ladder, **values):
    options = from_flags(PRESETS, values)
    architecture = partial(vae.ladder, width=2, layers=2) if ladder else pointlike
    config = dataclasses.replace(to_config(options, METADATA), architecture=architecture)
    params = jax.jit(vae.networks_of(config).init)(jax.random.key(0))
    evaluator = Evaluator(IMAGES, config, 1, grey=options.binarisation == "none")
    state = SimpleNamespace(eval_params=params)
    shares = evaluator.latents(state)
    assert all(len(kl) == evaluator.networks.latent_size for kl in shares.values())
    return {**evaluator.bound(state), **evaluator.likelihood(state)}


def described(images):
    features = images.reshape(len(images), -1)[:, :3].astype(np.float32)
    return features, images[:, 0, 0, 0].astype(np.int64) % 3


STUB = FeatureNetwork("stub", 3, "ab", math.nan, described)


def page(name, options, metadata, train, heldout, place):
    """By metric, the text that the page of such a run has beside it; and texts of no metric."""
    folder = RunFolder(place)
    folder.create()
    texts = EXPERIMENTS[name].descriptions(options, metadata)
    written = {"metrics": texts, "options": stored_options(options)}
    folder.write_config({"experiment": name, "metadata": {}, "data": {}, **written})
    for step in (1, 2):  # a curve has two points
        folder.append_metrics(step, "train", dict.fromkeys(train, float(step)), 0.0)
        folder.append_metrics(step, "heldout", dict.fromkeys(heldout, float(step)), 0.0)
    written = write_page(folder, folder.read_config()).read_text("utf-8")
    rows = re.findall(r"<tr><td><code>(\w+)</code>.*?<td>([^<]*)</td></tr>", written)
    beside = {metric: html.unescape(text) for metric, text in rows if metric in heldout}
    below = [html.unescape(text) for text in re.findall("<figcaption>([^<]*)</", written)]
    captions = {metric: texts.get(metric) for metric in {*train} - {*heldout}}
    assert sorted(text for text in captions.values() if text) == sorted(below)
    return {**beside, **captions}, texts.keys() - {*train, *heldout}


@cache
def gan_metrics(network):
    evaluator = fidelity.Evaluator(IMAGES, network)
    final = evaluator.final_metrics(lambda n: IMAGES.heldout[:n])
    return {**evaluator.metrics(IMAGES.heldout), **final}


OF_CODES = ["code_usage", "code_perplexity"]
OF_CODE_LOSSES = ["nll_nats", "tokens", "gradient_norm"]
OF_CODECS = {
    "image": ["mse", "mse_over_variance"],
    "audio": ["mel_distance", "si_sdr_db"],
    "video": ["mse_summed", "psnr_db", "ssim", "ssim_uniform"],
}
OF_MOVING = ["speed_px", "speed_deviation_px", "jumps", "mass_change", "black_frames"]
OF_ONE_DIGIT = [*OF_MOVING, "path_error_px", "identity_persistence"]


MOVING = {
    "medium": "video",
    "attributes": [],
    "perceived_classes": 0,
    "classifier_sha256": {"digits": "ab", FRAME: "cd"},
}


def known(name, options):
    """What a run of such options knows about its data."""
    if name not in ("codec", "prior"):
        return METADATA
    medium = options.medium if name == "codec" else "image"
    attributes, judges = [["class", ["a", "b", "c"]]], {"class": "ab"}
    still = {"medium": medium, "attributes": attributes, "perceived_classes": 3}
    return MOVING if medium == "video" else {**still, "classifier_sha256": judges}


def metrics(name, options):
    """Those of training, and those of held-out data."""
    if name == "gan":
        return gan.Info._fields, gan_metrics(STUB if options.images is None else fidelity.PIXELS)
    if name == "classifier":
        return classifier.Info._fields, ["accuracy", "label_nll_nats"]
    if name == "lm" and options.masked:
        bound = "nll_bound_nats", "nll_bound_error_nats", "bits_per_byte_bound"
        return transformer.Info._fields, bound
    if name == "lm":
        return transformer.Info._fields, metrics_of(np.arange(4), "abcd")(1.0)
    if name == "translate":
        told, _ = scores(["a"], ["a"], "en")
        return transformer.Info._fields, ["nll_nats", "perplexity", *told]
    if name == "vq":
        return vq.Info._fields, ["mse", "mse_over_variance", "code_usage", "code_perplexity"]
    if name == "codec":
        judged = ["digits_accuracy", "motion_accuracy", *OF_ONE_DIGIT]
        judged = ["fcd", *(judged if options.medium == "video" else ["class_accuracy"])]
        return codec.Info._fields, [*OF_CODECS[options.medium], *OF_CODES, *judged]
    if name == "prior":
        found = ["code_nll_nats", "signal_bits", "fcd", "class_accuracy", "nearest_train_distance"]
        return OF_CODE_LOSSES, found
    names = ("likelihood", "binarisation", "prior")
    values = {name: stored_options(options)[name] for name in names}
    return vae.Info._fields, vae_metrics(options.preset == "ladder", **values)


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name, e in EXPERIMENTS.items() for preset in e.presets]
)
def test_a_presets_page_has_a_text_for_each_metric_and_no_other(name, preset, tmp_path):
    options = EXPERIMENTS[name].presets[preset]
    metadata, names = known(name, options), metrics(name, options)
    texts, foreign = page(name, options, metadata, *names, tmp_path / "run")
    assert all(texts.values()), texts
    assert not foreign


@pytest.mark.parametrize("given", [0, 10])
@pytest.mark.parametrize("judges", [{"digits": "ab", FRAME: "cd"}, {"digits": "ab"}, {}], ids=len)
def test_a_prior_of_videos_has_texts_of_what_judges_them(given, judges):
    texts = EXPERIMENTS["prior"].descriptions(
        from_flags(EXPERIMENTS["prior"].presets, {"given": given, "conditional": False}),
        {**MOVING, "classifier_sha256": judges},
    )
    moving = {0: [], 1: ["fcd", *OF_MOVING], 2: ["fcd", *OF_ONE_DIGIT]}[len(judges)]
    ahead = [*OF_PREDICTIONS, *(["persistence", "path_error_px"] if len(judges) > 1 else [])]
    names = [*moving, *(f"prediction_{name}" for name in ahead if given)]
    assert texts.keys() == {"code_nll_nats", "signal_bits", *OF_CODE_LOSSES, *names}


@pytest.mark.parametrize("prior", ["normal", "vamp"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_bits_are_of_values_alone_and_never_below_none(likelihood, prior, tmp_path):
    options = from_flags(PRESETS, {"likelihood": likelihood, "prior": prior, "k": 7})
    train, heldout = metrics("vae", options)
    texts, foreign = page("vae", options, METADATA, train, heldout, tmp_path / "run")
    assert all(texts.values()), texts
    assert not foreign
    assert "k = 7" in texts["nll_nats_per_image"]
    assert ("binary" in texts["nll_nats_per_image"]) == (likelihood == "bernoulli")
    assert ("N(0, I)" in texts["kl_nats"]) == (prior == "normal")
    assert ("bits_per_dim" in heldout) == (likelihood != "continuous_bernoulli")
    assert heldout.get("bits_per_dim", 0) >= 0


@pytest.mark.parametrize(
    ("values", "metric", "words"),
    [
        ({"preset": "textbook"}, "negative_elbo_nats", "bounds no likelihood"),
        ({"preset": "textbook"}, "reconstruction_nats", "cross-entropy of grey values"),
        ({"binarisation": "static"}, "reconstruction_nats", "once for all"),
        ({}, "reconstruction_nats", "again at every step"),
        ({"preset": "ladder", "layers": 3}, "kl_nats", "3 layers"),
        ({"preset": "ladder"}, "loss_nats", "at least 0.5 nats"),
        ({"preset": "ladder"}, "loss_nats", "from step 500 on"),
        ({"preset": "iwae", "samples": 50}, "loss_nats", "S = 50"),
        ({"objective": "dreg", "beta": 0.5}, "loss_nats", "β = 0.5, by the doubly"),
        ({"sampled_kl": True, "samples": 3}, "loss_nats", "means over 3 samples"),
        ({"preset": "vq", "commitment": 0.25}, "loss_nats", "0.25 × commitment"),
        ({"preset": "fsq"}, "loss_nats", "the reconstruction alone"),
        ({}, "nll_nats_per_image", "−log p(x) of"),
        ({"conditional": True}, "nll_nats_per_image", "−log p(x | its class) of"),
    ],
)
def test_a_text_tells_of_the_options_of_its_run(values, metric, words):
    experiment = EXPERIMENTS["vq" if values.get("preset") in ("vq", "fsq") else "vae"]
    options = from_flags(experiment.presets, values)
    assert words in experiment.descriptions(options, METADATA)[metric]


@pytest.mark.parametrize(
    ("values", "metadata", "wanted"),
    [
        ({}, {}, {"fcd", "class_kl_nats"}),
        ({"dataset": "stacked_mnist"}, {}, {"fcd", "class_kl_nats", "modes", "modes_kl_nats"}),
        ({"images": "mine.npz"}, {"classifier_sha256": ""}, set()),
    ],
)
def test_a_gans_texts_are_of_what_evaluates_it(values, metadata, wanted):
    options = from_flags(EXPERIMENTS["gan"].presets, values)
    texts = EXPERIMENTS["gan"].descriptions(options, METADATA | metadata)
    assert texts.keys() & {"fcd", "class_kl_nats", "modes", "modes_kl_nats"} == wanted
    assert ("pixels, here" in texts["kid"]) == (not wanted)
    assert "0.693" in texts["loss_d"]  # of the default, a relativistic GAN
    textbook = EXPERIMENTS["gan"].descriptions(EXPERIMENTS["gan"].presets["textbook"], METADATA)
    assert "1.386" in textbook["loss_d"]


def test_latents_whose_shares_are_not_known_are_listed_by_what_is():
    """A VampPrior's divergence is of all latents together."""
    text = latents_text(vae.Usage(np.array([3.5]), np.array([0.1, 0.7])))
    assert [line.split() for line in text.splitlines()] == [
        ["KL", "nats", "of", "all", "latents:", "3.5000"],
        ["latent", "variance", "of", "its", "posterior", "mean"],
        ["1", "0.7000"],
        ["0", "0.1000"],
    ]


def test_a_command_that_evaluates_nothing_again_leaves_the_texts_as_they_are(toy, tmp_path):
    runner = toy.Toy()
    runner.experiment = runner.experiment._replace(
        descriptions=lambda options, metadata: {"score": f"with {options.log_every}"}
    )
    for steps, log_every, expected in [(10, 5, 5), (10, 7, 5), (20, 7, 7)]:
        folder = runner.train(tmp_path / "run", steps=steps, log_every=log_every)
        config = folder.read_config()
        assert config["options"]["log_every"] == log_every
        assert config["metrics"] == {"score": f"with {expected}"}


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_the_manifold_is_shown_where_its_steps_are_the_priors(prior):
    options = from_flags(PRESETS, {"prior": prior})
    config = dataclasses.replace(to_config(options, METADATA), architecture=pointlike)
    algorithm = vae.make(config)
    state = algorithm.init(jax.random.key(0))
    found = artefacts(state, Evaluator(IMAGES, config, 1), algorithm)
    assert found.keys() <= EXPERIMENTS["vae"].captions.keys()
    assert ("manifold" in found) == (prior == "normal")
    assert ("traversals" in found) == (prior == "vamp")
    assert ("KL nats of all latents" in found["latents"].text) == (prior == "vamp")


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name, e in EXPERIMENTS.items() for preset in e.presets]
)
def test_config_json_and_the_page_say_what_the_preset_is(name, preset, tmp_path):
    options = from_flags(EXPERIMENTS[name].presets, {"preset": preset, "seed": 3})
    task = SimpleNamespace(score=None, goal=None)
    state = optim.State(jnp.int32(0), jax.random.key(0), {"w": jnp.zeros((2, 3))}, (), None)
    data = {"name": "noise", "sha256": "00"}
    metadata = known(name, options)
    described = describe(EXPERIMENTS[name], options, "command", data, metadata, state, task)
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config(described)
    stored = folder.read_config()
    assert from_json(type(options.config), stored["config"]) == options.config
    assert from_stored(EXPERIMENTS[name].presets, stored["options"]) == options
    assert stored["parameters"] == {"model": 6}
    written = html.unescape(write_page(folder, stored).read_text("utf-8"))
    for said in (options.declared.about, options.declared.reaches, options.declared.command):
        assert said in written
