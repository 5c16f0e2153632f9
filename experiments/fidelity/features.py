"""The network in whose features generated data are evaluated: a classifier of the same data.

Dimensions: N images, D features.
"""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from aigc_jax import classifier
from aigc_jax.algorithm import Params
from aigc_jax.checkpoint import digest
from aigc_jax.data.audio import Sounds
from aigc_jax.data.images import Images, load_images
from aigc_jax.data.moving_digits import MovingDigits
from aigc_jax.data.video import VideoClips
from aigc_jax.errors import InputError
from aigc_jax.log_stream import say
from aigc_jax.run_folder import RunFolder
from experiments.cli.options import from_flags, from_stored
from experiments.data import videos
from experiments.data.sounds import as_images
from experiments.data.videos import LabelledDigits
from experiments.families.classifier.experiment import EXPERIMENT
from experiments.families.classifier.options import PRESETS, to_config
from experiments.runs import training
from experiments.runs.config import check_data, default_workdir, describe_data, read_config
from experiments.runs.restore import restore

Describe = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class FeatureNetwork(NamedTuple):
    """A trained classifier.

    Attributes:
      name: of the data set that it was trained on.
      classes: their number.
      sha256: of its weights, see `weights_sha256`. Metrics under two networks are not comparable.
      accuracy: on its own held-out images; NaN where its folder does not say.
      describe: `(images uint8 [N, H, W, C]) -> (features float32 [N, D], classes int64 [N])`. The
        images, or videos `[N, T, H, W, C]`, are bytes since real ones are: generated ones are
        rounded first, so that the features cannot tell the two apart by rounding.
      classify: `(images) -> classifier.Description`, with the logits; None where there are none.
    """

    name: str
    classes: int
    sha256: str
    accuracy: float
    describe: Describe
    classify: Callable[[np.ndarray], classifier.Description] | None = None


def weights_sha256(params: Params) -> str:
    """SHA-256 over dtype, shape and bytes of each array of the parameters in order."""
    return digest([np.asarray(leaf) for leaf in jax.tree.leaves(params)])


def feature_network(options: Any, images: Images) -> FeatureNetwork:
    """The classifier of a data set of images, trained first if it has not been.

    For triples of digits it is the classifier of digits: applied to each channel it gives 3 D
    features, and for the digits a, b, c the class 100a + 10b + c.

    Args:
      options: an experiment's `dataset`, `data_dir`, `images` and `workdir`, and `classifier`, the
        folder of the classifier's run; None: the default of experiments.classifier.
      images: the data that these name.

    Raises:
      InputError: the folder holds something else, or a classifier of other data; or there is none,
        and the images have no labels to learn from.
      Diverged, Interrupted: see `training.train`.
    """
    stacked = options.images is None and options.dataset == "stacked_mnist"
    labelled = load_images("mnist", options.data_dir) if stacked else images
    values = {"dataset": "mnist" if stacked else options.dataset, "images": options.images}
    workdir = trained_classifier(options, values, labelled, options.classifier)
    network = _open(workdir, labelled.train.shape[1:])
    return by_channel(network) if stacked else network


def sound_networks(options: Any, sounds: Sounds) -> dict[str, FeatureNetwork]:
    """By attribute, the classifier of each attribute of sounds, trained first if it has not been.

    A network describes images of log-mels; see `mel_images`.

    Args:
      options: an experiment's `dataset`, `data_dir`, `sounds` and `workdir`.
      sounds: the data that these name.

    Raises:
      InputError, Diverged, Interrupted: see `feature_network`.
    """
    found = {}
    for attribute in sounds.attributes:
        images = as_images(sounds, attribute.name)
        values = {
            "dataset": options.dataset,
            "sounds": options.sounds,
            "attribute": attribute.name,
        }
        workdir = trained_classifier(options, values, images)
        found[attribute.name] = _open(workdir, images.train.shape[1:])
    return found


def video_networks(options: Any, source: MovingDigits | VideoClips) -> dict[str, FeatureNetwork]:
    """By what they tell apart, the classifiers of videos, trained first if they have not been.

    Of moving digits there is one, of `digits` and their motion, for videos of one or two; of videos
    of one's own there is one for each attribute.

    Args:
      options: an experiment's `dataset`, `data_dir`, `videos`, `frames` and `workdir`.
      source: the data that these name.

    Raises:
      InputError, Diverged, Interrupted: see `feature_network`.
    """
    common = {"preset": "video", "dataset": options.dataset, "frames": options.frames}
    labelled: dict[str, tuple[Images | LabelledDigits, dict[str, Any]]] = {}
    if isinstance(source, MovingDigits):
        if source.count <= videos.MOST_DIGITS:
            labelled["digits"] = LabelledDigits(source), {"digits": source.count}
    else:
        for name, values in source.attributes:
            if len(values) > 1:  # a single class tells nothing
                own = {"videos": options.videos, "attribute": name}
                labelled[name] = videos.as_images(source, name), own
    found = {}
    for name, (data, own) in labelled.items():
        workdir = trained_classifier(options, common | own, data)
        found[name] = _open(workdir, tuple(data.heldout.shape[1:]))
    return found


def frame_network(options: Any, source: MovingDigits) -> FeatureNetwork:
    """The classifier of the digits that move, trained first if it has not been.

    Args:
      options: an experiment's `data_dir` and `workdir`.
      source: videos of its `dataset`.

    Raises:
      InputError, Diverged, Interrupted: see `feature_network`.
    """
    values = {"dataset": source.name.removeprefix("moving_")}
    images = load_images(values["dataset"], options.data_dir)
    return _open(trained_classifier(options, values, images), images.train.shape[1:])


def perception(options: Any, images: Images | None = None) -> Params:
    """The parameters of the classifier in whose layers a codec compares images.

    It is not that of the evaluation: another seed, another architecture.

    Args:
      options: a codec's `dataset`, `data_dir`, `images` and `workdir`, and `perception`,
        the folder of the classifier's run; None: the default of experiments.classifier.
      images: what these name, to train it first if it has not been; None: it has been.

    Raises:
      InputError, Diverged, Interrupted: see `feature_network`.
    """
    values = {"preset": "perceptual", "dataset": options.dataset, "images": options.images}
    workdir = options.perception or default_workdir(EXPERIMENT, from_flags(PRESETS, values))
    if images is not None:
        trained_classifier(options, values, images, workdir)
    return restore(EXPERIMENT, workdir).state.eval_params


def trained_classifier(
    options: Any,
    values: dict[str, Any],
    labelled: Images | LabelledDigits,
    named: str | None = None,
) -> str:
    """The folder of a finished classifier, trained first if it has not been.

    Args:
      options: an experiment's `data_dir` and `workdir`.
      values: the classifier's options that say what it classifies.
      labelled: those data.
      named: the folder; None: the default of experiments.classifier.
    """
    workdir = named or default_workdir(EXPERIMENT, from_flags(PRESETS, values))
    if options.workdir and Path(options.workdir).resolve() == Path(workdir).resolve():
        raise InputError(f"--workdir={workdir} is the folder of the classifier; name another")
    values = values | {"data_dir": options.data_dir, "workdir": workdir}
    config = read_config(RunFolder(workdir))
    if config is not None and config["experiment"] != EXPERIMENT.name:
        raise InputError(
            f"--classifier={workdir} holds a run of experiments.{config['experiment']}"
        )
    if labelled.train_labels is not None:
        check_data(describe_data(labelled), config, workdir)
        if not _finished(workdir, config):
            _train(values, config, labelled)
    elif named is None or not _finished(workdir, config):
        raise InputError(
            f"the images {labelled.name} have no labels for a classifier to learn; name the folder "
            "of a trained one with --classifier"
        )
    return workdir


def _finished(workdir: str, config: dict[str, Any] | None) -> bool:
    """Whether the newest checkpoint of a run is that of its last step."""
    folder = RunFolder(workdir).checkpoints
    steps = [int(p.name) for p in folder.glob("*") if p.name.isdecimal()]
    return config is not None and max(steps, default=0) >= config["options"]["steps"]


def _train(
    values: dict[str, Any], config: dict[str, Any] | None, images: Images | LabelledDigits
) -> None:
    """Begins a run with these options, or continues the one that `config` describes.

    The images are in memory already.
    """
    say(f"no finished classifier in {values['workdir']}: training it first")
    if config is None:
        examples = getattr(images, "examples", len(images.train))
        if examples < from_flags(PRESETS, values).batch_size:
            values = {**values, "batch_size": examples}
        flags = [f"--{name}={value}" for name, value in values.items() if value is not None]
        command = shlex.join(["python", "-m", "experiments.classifier", *flags])
    else:
        command = config["command"]
        names = ("images", "sounds", "videos", "data_dir", "workdir")
        places = {name: values.get(name) for name in names}
        values = {**config["options"], **places}
    options = from_stored(PRESETS, values)
    training.train(EXPERIMENT._replace(load=lambda _: images), options, command)


def _open(workdir: str, image_shape: tuple[int, ...]) -> FeatureNetwork:
    run = restore(EXPERIMENT, workdir)
    if tuple(run.metadata["image_shape"]) != image_shape:
        shapes = (
            " x ".join(map(str, shape)) for shape in (run.metadata["image_shape"], image_shape)
        )
        raise InputError("--classifier={} is for images of {}, not {}".format(workdir, *shapes))
    networks = classifier.networks_of(to_config(run.options, run.metadata))
    accuracies = [record["accuracy"] for record in run.folder.heldout() if "accuracy" in record]

    def classify(images: np.ndarray) -> classifier.Description:
        return classifier.describe(run.state.eval_params, images, networks=networks)

    def describe(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        said = classify(images)
        return said.features, said.labels

    return FeatureNetwork(
        name=run.config["data"]["name"],
        classes=run.metadata["classes"],
        sha256=weights_sha256(run.state.eval_params),
        accuracy=accuracies[-1] if accuracies else math.nan,
        describe=describe,
        classify=classify,
    )


def by_channel(network: FeatureNetwork) -> FeatureNetwork:
    """A network for images of three digits, one in each channel, made from one for digits."""

    def describe(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [network.describe(images[..., c : c + 1]) for c in range(3)]
        features, (a, b, c) = zip(*parts, strict=True)
        return np.concatenate(features, axis=-1), 100 * a + 10 * b + c

    def classify(images: np.ndarray) -> classifier.Description:
        assert network.classify is not None
        parts = [network.classify(images[..., c : c + 1]) for c in range(3)]
        features, (a, b, c) = zip(*parts, strict=True)
        logits = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None]  # of log p(a, b, c)
        return classifier.Description(
            np.concatenate(features, axis=-1), logits.reshape(len(images), -1)
        )

    of = None if network.classify is None else classify
    return network._replace(classes=1000, describe=describe, classify=of)
