"""Every command of the README of version 0.1 still works: each runs to its end, with few steps.

Commands are written as they stood there; what makes them short is added. Where one reads what
another has written, it names that one, which then runs first.
"""

import gzip
import shlex
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = [pytest.mark.all, pytest.mark.xdist_group("old_commands")]


class Command(NamedTuple):
    """A command line, what shortens it, and the names of those that run first."""

    line: str
    short: str = ""
    needs: tuple[str, ...] = ()


STEPS = "--steps=2 --steps_per_dispatch=1 --eval_every=2 --checkpoint_every=2 --log_every=1"
TEXT = f"{STEPS} --layers=1 --heads=2 --width=16 --context=32 --batch_size=4"
VAE = f"{STEPS} --batch_size=8"
CODE = f"{VAE} --width=4"
GAN = f"{STEPS} --batch_size=8 --width=4"
IDX = f"{GAN} --classifier=runs/classifier-mnist-default"
FILES = "--source_file=train.en --target_file=train.de --heldout_source=val.en"
FILES += " --heldout_target=val.de"
MT = f"{TEXT} --context=24 --source_context=24 --vocabulary=300 --beams=1"
LIKELIHOOD = "--k=2"

COMMANDS = {
    "quickstart": Command("experiments.quickstart", "--steps=2"),
    "classifier": Command("experiments.classifier", STEPS),
    "classifier mnist": Command(
        "experiments.classifier --dataset=mnist", f"{STEPS} --data_dir=mnist"
    ),
    "classifier fashion": Command(
        "experiments.classifier --dataset=fashion_mnist", f"{STEPS} --data_dir=mnist"
    ),
    "classifier images": Command("experiments.classifier --images=pictures", STEPS),
    "gan": Command("experiments.gan", GAN, ("classifier",)),
    **{
        f"gan {preset}": Command(
            f"experiments.gan --preset={preset} --dataset=mnist --data_dir=mnist --seed=1",
            IDX,
            ("classifier mnist",),
        )
        for preset in ("r3gan", "sngan", "wgan_gp", "dcgan", "mlp", "textbook")
    },
    "gan mine": Command(
        "experiments.gan --preset=textbook --seed=1 --workdir=runs/mine", GAN, ("classifier",)
    ),
    "gan long": Command(
        "experiments.gan --dataset=mnist --width=64 --steps=12000 --decay --penalty_weight=0.15",
        f"{IDX} --data_dir=mnist --workdir=runs/long",
        ("classifier mnist",),
    ),
    "gan stacked": Command(
        "experiments.gan --dataset=stacked_mnist --data_dir=mnist --width=64 --steps=6000 --decay "
        "--penalty_weight=0.15",
        f"{IDX} --batch_size=2",
        ("classifier mnist",),
    ),
    "gan images": Command(
        "experiments.gan --images=pictures --conditional --augment=none --stop_at_fcd=5",
        GAN,
        ("classifier images",),
    ),
    "vae": Command("experiments.vae", f"{VAE} {LIKELIHOOD}"),
    "vae textbook": Command("experiments.vae --preset=textbook", f"{VAE} {LIKELIHOOD}"),
    "vae latents": Command(
        "experiments.vae --dataset=mnist --latent_size=20 --steps=50000",
        f"{VAE} {LIKELIHOOD} --data_dir=mnist",
    ),
    "vae grey": Command(
        "experiments.vae --preset=gated --likelihood=logistic_mixture --workdir=runs/grey",
        f"{CODE} {LIKELIHOOD}",
    ),
    "vae one layer": Command(
        "experiments.vae --dataset=mnist --data_dir=mnist --workdir=runs/one --preset=iwae "
        "--objective=elbo --samples=1 --optimiser=muon --batch_size=1000 --learning_rate=6e-3 "
        "--decay --warmup_steps=1000 --steps=21000",
        f"{VAE} {LIKELIHOOD}",
    ),
    "vae iwae": Command(
        "experiments.vae --dataset=mnist --data_dir=mnist --workdir=runs/iwae --preset=iwae "
        "--optimiser=muon --batch_size=250 --learning_rate=1.5e-3 --decay --steps=4800 "
        "--start_from=runs/one",
        f"{VAE} {LIKELIHOOD}",
        ("vae one layer",),
    ),
    "vae iwae 50": Command(
        "experiments.vae --dataset=mnist --data_dir=mnist --workdir=runs/iwae50 --preset=iwae "
        "--samples=50 --optimiser=muon --batch_size=100 --learning_rate=1.5e-3 --decay "
        "--steps=6000 --start_from=runs/one",
        f"{VAE} {LIKELIHOOD}",
        ("vae one layer",),
    ),
    "vae gated": Command(
        "experiments.vae --dataset=fashion_mnist --data_dir=mnist --preset=gated "
        "--learning_rate=1e-3 --decay --warmup_steps=18000 --steps=180000",
        f"{CODE} {LIKELIHOOD}",
    ),
    "vae ladder": Command(
        "experiments.vae --dataset=mnist --data_dir=mnist --preset=ladder --binarisation=static "
        "--decay --learning_rate=1.5e-3 --steps=24000",
        f"{CODE} {LIKELIHOOD}",
    ),
    "vae conv": Command(
        "experiments.vae --dataset=mnist --data_dir=mnist --preset=conv --decay",
        f"{CODE} {LIKELIHOOD}",
    ),
    "vae conv grey": Command(
        "experiments.vae --preset=conv --likelihood=logistic_mixture --dataset=mnist --decay "
        "--steps=2000",
        f"{CODE} {LIKELIHOOD} --data_dir=mnist --workdir=runs/conv-grey",
    ),
    "vq": Command(
        "experiments.vae --preset=vq --dataset=fashion_mnist", f"{CODE} --data_dir=mnist"
    ),
    "fsq": Command(
        "experiments.vae --preset=fsq --dataset=fashion_mnist", f"{CODE} --data_dir=mnist"
    ),
    "lm": Command("experiments.lm", TEXT),
    "lm adamw": Command(
        "experiments.lm --optimiser=adamw --learning_rate=1e-3", f"{TEXT} --workdir=runs/adamw"
    ),
    "lm textbook": Command("experiments.lm --preset=textbook", TEXT),
    "lm text": Command("experiments.lm --text=text.txt", TEXT),
    "lm documents": Command(
        "experiments.lm --text=poems.txt --documents --context=128 --batch_size=32 --steps=2500",
        TEXT,
    ),
    "lm poems": Command(
        "experiments.lm --text=poems.txt --documents --workdir=runs/poems", f"{TEXT} --context=64"
    ),
    "lm bpe": Command(
        "experiments.lm --text=text.txt --tokenizer=bpe --vocabulary=8000 --context=128",
        f"{TEXT} --vocabulary=300 --workdir=runs/bpe",
    ),
    "translate": Command("experiments.translate", MT),
    "translate dates": Command("experiments.translate --target=de --workdir=runs/dates", MT),
    "translate input": Command(
        "experiments.translate --workdir=runs/dates --input=lines.txt", needs=("translate dates",)
    ),
    "translate pairs": Command(
        "experiments.translate --preset=tiny_mt --pairs=pairs.tsv --source=en --target=de", MT
    ),
    "translate files": Command(
        f"experiments.translate --preset=tiny_mt --source=en --target=de {FILES}", MT
    ),
    "sample gan": Command(
        "experiments.sample --workdir=runs/gan-mnist5k-r3gan --num=64 --out=samples.png",
        needs=("gan",),
    ),
    "sample prompt": Command(
        "experiments.sample --workdir=runs/lm-python_docs-default --prompt='The value of' "
        "--top_p=0.9",
        "--length=10",
        ("lm",),
    ),
    "sample choices": Command(
        "experiments.sample --workdir=runs/lm-python_docs-default --prompt=TEXT --temperature=0.8 "
        "--top_k=5 --min_p=0.01 --repetition_penalty=1.1",
        "--length=10",
        ("lm",),
    ),
    "verse": Command("experiments.verse --workdir=runs/poems", "--num=2", ("lm poems",)),
    "evaluate": Command(
        "experiments.evaluate --workdir=runs/vae-mnist5k-default --out=figures.json",
        needs=("vae",),
    ),
    "evaluate k": Command("experiments.evaluate --workdir=runs/grey --k=3", needs=("vae grey",)),
    "table": Command("experiments.table --runs='runs/gan-*'", needs=("gan", "gan textbook")),
    "compress": Command(
        "experiments.compress --workdir=runs/grey pictures images.bb", needs=("vae grey",)
    ),
    "decompress": Command(
        "experiments.decompress --workdir=runs/grey images.bb images.npz", needs=("compress",)
    ),
    "compress binary": Command(
        "experiments.compress --workdir=runs/one --binarise mnist/t10k-images-idx3-ubyte.gz "
        "digits.bb",
        needs=("vae one layer",),
    ),
    "export_hf": Command(
        "experiments.export_hf --workdir=runs/lm-python_docs-default exported", needs=("lm",)
    ),
    "import_hf prompt": Command(
        "experiments.import_hf exported --prompt='The value of' --temperature=0.8",
        "--length=5",
        ("export_hf",),
    ),
    "import_hf text": Command(
        "experiments.import_hf exported --text=text.txt", needs=("export_hf",)
    ),
}
ON_A_GPU = (
    "benchmarks.lm_step --preset=gpt2 --device=gpu --peak_tflops=989",
    "benchmarks.generation --preset=gpt2 --device=gpu --bandwidth_gb=3350",
    "benchmarks.seeds --seeds=64 --device=gpu",
)
TARGETS = {
    "run": "-m experiments.quickstart",
    "test": "-m pytest",
    "bench": "-m benchmarks.run",
}


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what users bring: digits, a folder of pictures, texts and pairs."""
    from PIL import Image

    place, rng = tmp_path_factory.mktemp("old_commands"), np.random.default_rng(0)
    (place / "mnist").mkdir()
    for part, count in (("train", 600), ("t10k", 200)):
        digits = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
        write_idx(place / f"mnist/{part}-images-idx3-ubyte.gz", digits)
        write_idx(
            place / f"mnist/{part}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10
        )
    for name in ("cats", "dogs"):
        (place / "pictures" / name).mkdir(parents=True)
        for i, pixels in enumerate(rng.integers(256, size=(100, 28, 28), dtype=np.uint8)):
            Image.fromarray(pixels).save(place / "pictures" / name / f"{i}.png")
    (place / "text.txt").write_text("The value of a word is what it says. " * 400)
    verse = "一二三四五，六七八九十。\n十九八七六，五四三二一。"
    (place / "poems.txt").write_text("\n\n".join(f"題{i}\n作者\n{verse}" for i in range(30)))
    (place / "lines.txt").write_text("Monday, June 3, 2024\n\nMay 1\n")
    for name in ("train", "val"):
        (place / f"{name}.en").write_text("".join(f"{i} green dogs run\n" for i in range(60)))
        (place / f"{name}.de").write_text("".join(f"{i} Hunde laufen\n" for i in range(60)))
    (place / "pairs.tsv").write_text("".join(f"{i} dogs\t{i} Hunde\n" for i in range(60)))
    return place


@pytest.fixture(scope="module")
def done(launch, place):
    """`done(name)` runs a command once, after those it needs."""
    finished = set()

    def run(name):
        if name in finished:
            return
        command = COMMANDS[name]
        for needed in command.needs:
            run(needed)
        module, *arguments = shlex.split(f"{command.line} {command.short}")
        launch(module, *arguments, cwd=place)
        finished.add(name)

    return run


# Of stacked digits, 26,000 are classified: apart from the others, it makes no part of CI too long.
STACKED = pytest.param("gan stacked", marks=pytest.mark.xdist_group("stacked digits"))


@pytest.mark.parametrize("name", [*(n for n in COMMANDS if n != "gan stacked"), STACKED])
def test_a_command_runs_to_its_end(done, name):
    done(name)


@pytest.mark.parametrize("line", ON_A_GPU)
def test_a_command_for_a_gpu_says_that_there_is_none(launch, place, line):
    module, *arguments = shlex.split(line)
    refused = launch(module, *arguments, cwd=place, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "error: --device=gpu: JAX sees no GPU here, only cpu\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_command_does_what_it_did(target):
    said = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert TARGETS[target] in said.stdout
