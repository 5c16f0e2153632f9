"""Writes what other software makes of the inputs, with its versions, beside this file.

    python tests/parity/generate.py     # where torch, torch-fidelity, prdc, transformers are

The tests hold this package against the files, without that software; `make test-all` holds both
against each other where it is installed.
"""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import inputs  # beside this file
import prdc
import torch
import transformers
from safetensors.numpy import load_file, save_file
from torch_fidelity import metric_fid, metric_kid

HERE = Path(__file__).parent


def origin(*packages: str) -> dict:
    return {"made by": "tests/parity/generate.py", **{name: version(name) for name in packages}}


def of_features(kind: str) -> dict:
    x, y = (torch.from_numpy(z) for z in inputs.features(kind))
    statistics = [metric_fid.fid_features_to_statistics(z) for z in (x, y)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    kid = metric_kid.kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=500, verbose=False)
    return {
        "means": [s["mu"].tolist() for s in statistics],
        "first rows of covariances": [s["sigma"][0].tolist() for s in statistics],
        "fid": float(fid[metric_fid.KEY_METRIC_FID]),
        "kid": float(kid[metric_kid.KEY_METRIC_KID_MEAN]),
    }


def of_neighbours(kind: str) -> dict:
    x, y = inputs.features(kind)
    found = {k: prdc.compute_prdc(x, y, nearest_k=k) for k in inputs.NEIGHBOURS}
    return {k: {name: float(v) for name, v in of.items()} for k, of in found.items()}


def of_model(name: str) -> dict:
    kind, settings = inputs.MODELS[name]
    config = getattr(transformers, kind)(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = Path(folder, "model.safetensors")
        shapes = {n: list(x.shape) for n, x in load_file(file).items()}
        save_file(inputs.weights(shapes), file, metadata={"format": "pt"})
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        written = json.loads(Path(folder, "config.json").read_text())
    with torch.no_grad():
        logits = model(torch.tensor(inputs.tokens())).logits
    # Their guess of what is padding would hide tokens 0 of the prompts.
    given = {"input_ids": torch.tensor(inputs.prompts()), "attention_mask": torch.ones(3, 4)}
    text = model.generate(**given, max_length=inputs.T, do_sample=False, pad_token_id=0)
    rounded = [[[round(x, 6) for x in row] for row in rows] for rows in logits.tolist()]
    return {"config": written, "shapes": shapes, "logits": rounded, "greedy": text.tolist()}


def write(name: str, content: dict) -> None:
    (HERE / name).write_text(json.dumps(content, sort_keys=True) + "\n")


if __name__ == "__main__":
    kinds = inputs.FEATURES
    fidelity = {kind: of_features(kind) for kind in kinds}
    write("fidelity.json", {"origin": origin("torch", "torch-fidelity", "numpy"), **fidelity})
    neighbours = {kind: of_neighbours(kind) for kind in (*kinds, "ties")}
    write("prdc.json", {"origin": origin("prdc", "numpy"), **neighbours})
    models = {name: of_model(name) for name in inputs.MODELS}
    write("transformers.json", {"origin": origin("torch", "transformers"), **models})
