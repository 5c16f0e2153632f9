"""An evaluation needs no more memory than training: as many rows, as many logits at once."""

import jax
import pytest

from aigc_jax import transformer
from experiments.cli.options import from_flags
from experiments.families.lm import experiment as lm
from experiments.families.translate import experiment as translate

TINY = {
    "width": 8,
    "heads": 2,
    "layers": 1,
    "context": 16,
    "batch_size": 6,
    "microbatches": 2,
    "steps": 1,
    "chunk": 5,
}


@pytest.fixture
def shapes(monkeypatch):
    """Of the states that logits are computed from."""
    found, made = [], transformer.networks_of

    def networks_of(config):
        networks = made(config)

        def logits(params, states):
            found.append(states.shape)
            return networks.logits(params, states)

        return networks._replace(logits=logits)

    monkeypatch.setattr(transformer, "networks_of", networks_of)
    return found


@pytest.mark.parametrize("kind", ["text", "documents", "masked", "translate"])
def test_evaluations_have_training_s_rows_and_chunk(kind, shapes, tmp_path):
    lines = [f"{i * 7919 % 1000} and {i}" for i in range(400)]
    if kind == "translate":
        experiment = translate.EXPERIMENT
        pairs = [(line, line[::-1]) for line in lines]
        (tmp_path / "pairs.tsv").write_text("\n".join("\t".join(pair) for pair in pairs))
        own = {"pairs": str(tmp_path / "pairs.tsv"), "vocabulary": 300}
    else:
        experiment = lm.EXPERIMENT
        (tmp_path / "text.txt").write_text("\n\n".join(lines))
        own = {"text": str(tmp_path / "text.txt"), "documents": kind == "documents"}
        own |= {"preset": "masked"} if kind == "masked" else {}
    options = from_flags(experiment.presets, {**TINY, **own})
    data = experiment.load(options)
    metadata = experiment.metadata(options, data)
    algorithm = experiment.algorithm(options, metadata)
    task = experiment.task(options, data, metadata, algorithm)
    task.evaluate(jax.jit(algorithm.init)(jax.random.key(0)))
    assert {shape[:2] for shape in shapes if len(shape) == 3} <= {(1, 1), (1, 5), (2, 5), (3, 5)}
    assert (3, 5, 8) in shapes
