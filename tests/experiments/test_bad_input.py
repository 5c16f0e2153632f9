"""Whatever is wrong is one line and a code, and costs nothing that was there before."""

import contextlib
import gzip
import hashlib
import re

import numpy as np
import pytest
from digits import idx, write_digits

pytestmark = pytest.mark.xdist_group("bad_input")  # which share one server and its runs

BAD_INPUT, DIVERGED = 2, 3
SMALL = ["--steps=4", "--checkpoint_every=2", "--eval_every=4", "--log_every=2"]
VAE = ["--dataset=mnist", "--data_dir=digits", "--batch_size=8", *SMALL]
GAN = [*VAE, "--preset=mlp", "--classifier=judge"]
LM = ["--text=story.txt", "--context=8", "--layers=1", "--heads=2", "--width=8", *SMALL]


@pytest.fixture(scope="module")
def command(launch):
    """`command("gan", "--steps=1", cwd=...)` runs `experiments.gan`."""
    return lambda name, *given, cwd: launch(f"experiments.{name}", *given, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def place(command, tmp_path_factory):
    """A folder with data, a finished run of the GAN and one of the language model."""
    place = tmp_path_factory.mktemp("place")
    write_digits(place / "digits")
    (place / "story.txt").write_text("It was a dark and stormy night.\n" * 20)
    (place / "other.txt").write_text("It was a bright and quiet day..\n" * 20)
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.tex").write_text("mine")
    (place / "empty").mkdir()
    runs = (("classifier", VAE, "judge"), ("gan", GAN, "gan-run"), ("lm", LM, "lm-run"))
    for name, options, run in runs:
        done = command(name, *options, f"--workdir={run}", cwd=place)
        assert done.returncode == 0, done.stderr
    return place


def contents(folder):
    """The SHA-256 of each file by path, and the folders."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def refusal(done, code=BAD_INPUT, word="error"):
    """The one line that says what is wrong."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    *progress, line = done.stderr.splitlines()
    assert line.startswith(f"{word}: ")
    assert not progress or code == DIVERGED, progress
    assert not any(note.startswith(("error", "diverged")) for note in progress)
    return line.removeprefix(f"{word}: ")


@contextlib.contextmanager
def nothing_changes(folder):
    before = contents(folder)
    yield
    assert contents(folder) == before


BELOW_ONE = {
    "gan": ["steps", "batch_size", "eval_every", "checkpoint_every", "log_every"],
    "vae": ["latent_size", "steps_per_dispatch"],
    "lm": ["layers", "heads", "width"],
}
OPTIONS = [
    (name, [f"--{option}={value}"], [f"{option} must be at least 1", f"got {value}"])
    for name, options in BELOW_ONE.items()
    for option in options
    for value in (0, -3)
]
OPTIONS += [("lm", [f"--context={n}"], ["context must be at least 2", f"got {n}"]) for n in (1, -3)]
OPTIONS += [
    ("gan", [f"--learning_rate={value}"], ["learning_rate must be positive", f"got {value}"])
    for value in ("0.0", "-1.0", "nan", "inf")
]
OPTIONS += [
    ("gan", ["--seed=-1"], ["--seed must be between 0"]),
    ("vae", ["--seed=9223372036854775808"], ["seed"]),
    ("vae", ["--seed=9223372036854775807"], ["seed"]),
    ("gan", ["--batch_size=33"], ["--batch_size=33", "32 to train on"]),
    ("vae", ["--batch_size=33"], ["batch_size 33", "32 examples"]),
    ("gan", ["--preset=best"], ["'best'", "r3gan, sngan"]),
    ("gan", ["--dataset=cifar10"], ["'cifar10'", "mnist5k, mnist, fashion_mnist"]),
    ("gan", ["--objective=best"], ["'best'", "minimax, non_saturating"]),
    ("lm", ["--tokenizer=word"], ["'word'", "char, byte, bpe"]),
    ("lm", ["--vocabulary=500"], ["--vocabulary", "--tokenizer=bpe", "--tokenizer=char"]),
    ("lm", ["--tokenizer=bpe", "--vocabulary=255"], ["vocabulary", "at least 256", "got 255"]),
    ("lm", ["--dataset=shakespeare"], ["'shakespeare'", "python_docs"]),
    ("lm", ["--dropout=1.0"], ["dropout", "[0, 1)"]),
    ("lm", ["--smoothing=1.0"], ["--smoothing must be below 1"]),
    ("lm", ["--microbatches=5"], ["--microbatches=5", "--batch_size=12"]),
    ("lm", ["--key_heads=3"], ["2 heads", "3 key-value heads"]),
    ("lm", ["--optimiser=best"], ["'best'", "adamw, muon"]),
    ("translate", ["--pairs=story.txt"], ["story.txt"]),
    ("translate", ["--pairs=missing.tsv"], ["missing.tsv"]),
    ("translate", ["--source_file=story.txt"], ["target"]),
    (
        "translate",
        ["--source_file=story.txt", "--target_file=thesis/chapter.tex"],
        ["20", "1", "story.txt", "chapter.tex"],
    ),
    ("translate", ["--target=klingon"], ["klingon"]),
    ("translate", ["--vocabulary=100"], ["vocabulary", "at least 259"]),
    ("lm", ["--width=10", "--heads=4"], ["width 10", "4 heads"]),
    ("lm", ["--width=7", "--heads=1", "--preset=textbook"], ["even width, got 7"]),
    ("gan", ["--stepz=3"], ["stepz", "--help"]),
    ("gan", ["--context=8"], ["context"]),
    ("gan", ["--steps=many"], ["--steps=many"]),
    ("gan", ["--steps=1.5"], ["--steps=1.5"]),
    ("gan", ["--learning_rate=fast"], ["--learning_rate=fast"]),
    ("gan", ["--profile=perhaps"], ["--profile=perhaps"]),
    ("gan", ["--steps"], ["steps"]),
    ("gan", ["steps=3"], ["'steps=3'"]),
    ("codec", ["--medium=text"], ["--medium=text", "image|audio|video"]),
    ("codec", ["--medium=audio"], ["--dataset=mnist", "--medium=audio", "tones, fsdd, notes"]),
    ("codec", ["--medium=video", "--preset=audio"], ["--preset=audio", "not of video"]),
    ("codec", ["--dataset=tones"], ["--dataset=tones", "--medium=image"]),
    ("codec", ["--sounds=thesis"], ["--sounds", "--medium=audio"]),
    ("codec", ["--frames=5"], ["--frames=5", "no effect"]),
    ("codec", ["--hop=64"], ["--hop=64", "--preset=audio"]),
    ("codec", ["--batch_size=33"], ["--batch_size=33: mnist has 32 images to train on"]),
    ("codec", ["--images=missing"], ["missing", "no such file or folder"]),
    ("codec", ["--stages=0"], ["stages must be at least 1"]),
    ("codec", ["--ema_decay=1.0"], ["--ema_decay must be below 1"]),
    ("prior", [], ["--codec is required", "experiments.codec"]),
    ("prior", ["--codec=missing"], ["missing", "no run"]),
    ("prior", ["--codec=gan-run"], ["gan-run", "experiments.gan"]),
    ("prior", ["--label_dropout=1.0"], ["--label_dropout must be below 1"]),
    ("prior", ["--order=right"], ["'right'", "left, maskgit, diffusion"]),
    ("classifier", ["--sounds=missing"], ["missing: no such folder"]),
    ("classifier", ["--attribute=speaker"], ["--attribute=speaker is for sounds"]),
    ("classifier", ["--dataset=tones", "--attribute=speaker"], ["'speaker'", "pitch, timbre"]),
]
CODEC = [*VAE, "--classifier=judge", "--perceptual_weight=0"]
DEFAULTS = {"gan": GAN, "vae": VAE, "lm": LM, "translate": [], "codec": CODEC, "prior": []}
DEFAULTS["classifier"] = VAE


def described(case):
    return " ".join([case[0], *case[1]])


@pytest.mark.parametrize("case", OPTIONS, ids=described)
def test_an_option_that_cannot_be_used(command, place, case):
    name, arguments, parts = case
    with nothing_changes(place):
        done = command(name, *DEFAULTS[name], "--workdir=new", *arguments, cwd=place)
    line = refusal(done)
    assert all(part in line for part in parts), line


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
FILES = [
    ("truncated", IMAGES, lambda content: content[:-20]),
    ("mis-sized", IMAGES, lambda content: gzip.compress(gzip.decompress(content)[:-1])),
    ("wrong magic", IMAGES, lambda content: gzip.compress(b"\1" + gzip.decompress(content)[1:])),
    ("no IDX", IMAGES, lambda content: b"\x89PNG" + gzip.decompress(content)),
    ("empty", IMAGES, lambda content: b""),
    ("too few labels", LABELS, lambda content: gzip.compress(idx(np.zeros(31)))),
    ("other sizes", "t10k-images-idx3-ubyte.gz", lambda c: gzip.compress(idx(np.ones((20, 5, 4))))),
    ("missing", "t10k-labels-idx1-ubyte.gz", None),
]


@pytest.mark.parametrize(("damage", "file", "change"), FILES, ids=lambda value: str(value)[:15])
def test_images_that_cannot_be_used(command, tmp_path, damage, file, change):
    write_digits(tmp_path / "digits")
    path = tmp_path / "digits" / file
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    with nothing_changes(tmp_path):
        done = command("gan", *GAN, "--workdir=new", cwd=tmp_path)
    assert f"digits/{file}: " in refusal(done)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no text"),
        (b"\n \n", "holds no text"),
        ("Ein trüber Tag. ".encode("latin-1") * 20, "not UTF-8"),
        (b"x", "too few for a context of 8"),
        (b"too short for it", "too few for a context of 8"),
        (None, "cannot be read"),
    ],
    ids=["empty", "blank", "latin-1", "one character", "short", "missing"],
)
def test_a_text_that_cannot_be_used(command, tmp_path, content, reason):
    if content is not None:
        (tmp_path / "story.txt").write_bytes(content)
    with nothing_changes(tmp_path):
        done = command("lm", *LM, "--workdir=new", cwd=tmp_path)
    line = refusal(done)
    assert "story.txt" in line
    assert reason in line


WORKDIRS = [
    ("gan", ["--workdir=story.txt"], ["story.txt"]),
    ("gan", ["--workdir=story.txt/run"], ["story.txt"]),
    ("gan", ["--workdir=/proc/run"], ["/proc/run", "not writable"]),
    ("gan", ["--workdir=thesis"], ["thesis", "'chapter.tex'"]),
    ("gan", ["--workdir=lm-run"], ["lm-run", "experiments.lm"]),
    ("vae", ["--workdir=gan-run"], ["gan-run", "experiments.gan"]),
    ("vae", ["--workdir=new", "--start_from=gan-run"], ["gan-run", "experiments.gan"]),
]


@pytest.mark.parametrize("case", WORKDIRS, ids=described)
def test_a_workdir_that_cannot_be_used(command, place, case):
    name, arguments, parts = case
    with nothing_changes(place):
        done = command(name, *DEFAULTS[name], *arguments, cwd=place)
    line = refusal(done)
    assert all(part in line for part in parts), line


CHANGES = [
    ("gan", ["--seed=1"], ["--seed=1", "seed=0"]),
    ("gan", ["--learning_rate=0.1"], ["--learning_rate=0.1", "learning_rate=0.0002"]),
    ("gan", ["--batch_size=4"], ["--batch_size=4", "batch_size=8"]),
    ("gan", ["--preset=textbook"], ["--preset=textbook", "preset=mlp"]),
    ("gan", ["--objective=minimax"], ["--objective", "non_saturating"]),
    ("gan", ["--dataset=mnist5k"], ["--dataset=mnist5k", "dataset=mnist"]),
    ("gan", ["--steps=3"], ["--steps=3", "4 steps"]),
    ("lm", ["--steps=8"], ["--steps=8", "steps=4"]),
    ("lm", ["--width=16"], ["--width=16", "width=8"]),
    ("lm", ["--tokenizer=byte"], ["--tokenizer=byte", "tokenizer=char"]),
    ("lm", ["--text=other.txt"], ["other.txt", "SHA-256"]),
]


@pytest.mark.parametrize("case", CHANGES, ids=described)
def test_a_run_is_not_continued_under_other_options_or_data(command, place, case):
    name, arguments, parts = case
    with nothing_changes(place):
        done = command(name, *DEFAULTS[name], f"--workdir={name}-run", *arguments, cwd=place)
    line = refusal(done)
    assert f"{name}-run" in line
    assert all(part in line for part in parts), line


FINISHED = [
    ("sample", [], ["--workdir"]),
    ("sample", ["--workdir=gan-run"], ["--out"]),
    ("sample", ["--workdir=empty", "--out=a.png"], ["empty", "no run"]),
    ("sample", ["--workdir=missing", "--out=a.png"], ["missing", "no run"]),
    ("sample", ["--workdir=story.txt", "--out=a.png"], ["story.txt"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--num=0"], ["--num"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--num=x"], ["--num=x"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--seed=-1"], ["--seed"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", f"--seed={2**63}"], ["--seed"]),
    ("sample", ["--workdir=gan-run", "--out=a.txt"], [".png or .npz", ".txt"]),
    ("sample", ["--workdir=gan-run", "--out=samples"], [".png or .npz"]),
    ("sample", ["--workdir=lm-run", "--out=a.png", "--num=1"], [".txt", ".png"]),
    ("sample", ["--workdir=lm-run", "--prompt=q@"], ["'q'", "alphabet"]),
    ("sample", ["--workdir=lm-run", "--prompt=It was a dark"], ["13 tokens", "sees 8"]),
    ("sample", ["--workdir=lm-run", "--top_p=1.5"], ["--top_p", "(0, 1]"]),
    ("sample", ["--workdir=lm-run", "--temperature=-1.0"], ["--temperature"]),
    ("sample", ["--workdir=lm-run", "--length=0"], ["--length"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--prompt=It"], ["--prompt", "on text"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--labels=1"], ["--labels", "--conditional"]),
    ("sample", ["--workdir=lm-run", "--labels=1"], ["--labels", "on images"]),
    ("translate", ["--workdir=lm-run", "--input=story.txt"], ["lm-run", "experiments.lm"]),
    ("sample", ["--workdir=gan-run", "--out=nowhere/a.png"], ["nowhere"]),
    ("sample", ["--workdir=gan-run", "--out=/proc/a.png"], ["/proc/a.png"]),
    (
        "sample",
        ["--workdir=gan-run", "--out=a.png", "--guidance=2"],
        ["--guidance", "of experiment"],
    ),
    ("sample", ["--workdir=lm-run", "--passes=2"], ["--passes", "experiments.prior"]),
    ("sample", ["--workdir=gan-run", "--out=a.png", "--prompt_file=story.txt"], ["--prompt_file"]),
    ("encode", ["--workdir=gan-run", "digits"], ["OUTPUT is missing"]),
    ("encode", ["--workdir=gan-run", "digits", "a.npz"], ["gan-run", "experiments.gan"]),
    ("encode", ["--workdir=gan-run", "digits", "a.png"], ["OUTPUT", ".npz", "a.png"]),
    ("encode", ["--workdir=empty", "digits", "a.npz"], ["empty", "no run"]),
    ("decode", ["--workdir=gan-run", "story.txt", "out"], ["story.txt: not a file of codes"]),
    ("decode", ["--workdir=gan-run", "empty", "out"], ["empty: no such file"]),
    ("evaluate", [], ["--workdir"]),
    ("evaluate", ["--workdir=empty"], ["empty", "no run"]),
    ("evaluate", ["--workdir=gan-run", "--out=nowhere/a.json"], ["nowhere"]),
    ("evaluate", ["--workdir=gan-run", "--out=empty"], ["empty"]),
    ("evaluate", ["--workdir=gan-run", "--data_dir=empty"], ["empty"]),
    ("evaluate", ["--workdir=lm-run", "--text=other.txt"], ["other.txt", "SHA-256"]),
]


@pytest.mark.parametrize("case", FINISHED, ids=described)
def test_a_finished_run_asked_for_what_cannot_be(command, place, case):
    name, arguments, parts = case
    with nothing_changes(place):
        done = command(name, *arguments, cwd=place)
    line = refusal(done)
    assert all(part in line for part in parts), line


def test_a_run_without_a_checkpoint_yet(command, place, tmp_path):
    (tmp_path / "run").mkdir()
    config = (place / "gan-run" / "config.json").read_bytes()
    (tmp_path / "run" / "config.json").write_bytes(config)
    with nothing_changes(tmp_path):
        done = command("sample", "--workdir=run", "--out=a.png", cwd=tmp_path)
    assert "no checkpoint yet" in refusal(done)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'{"experiment": "gan", "options": {}}'])
@pytest.mark.parametrize("name", ["gan", "sample"])
def test_a_config_that_is_not_a_runs(command, place, tmp_path, name, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes(content)
    arguments = [*GAN, f"--data_dir={place / 'digits'}"] if name == "gan" else ["--out=a.png"]
    with nothing_changes(tmp_path):
        done = command(name, *arguments, "--workdir=run", cwd=tmp_path)
    assert "run/config.json" in refusal(done)


def test_another_classifier_than_the_runs_own_is_refused(command, place, tmp_path):
    other = tmp_path / "other"
    made = command("classifier", *VAE, "--seed=1", f"--workdir={other}", cwd=place)
    assert made.returncode == 0, made.stderr
    arguments = [*GAN, f"--classifier={other}", "--workdir=gan-run"]
    with nothing_changes(place):
        done = command("gan", *arguments, "--steps=6", cwd=place)
        judged = command("evaluate", "--workdir=gan-run", f"--classifier={other}", cwd=place)
    assert "classifier sha256" in refusal(done)
    assert "classifier" in refusal(judged)


def test_too_few_held_out_images_are_named(command, tmp_path):
    write_digits(tmp_path / "digits", heldout=5)
    with nothing_changes(tmp_path):
        done = command("gan", *DEFAULTS["gan"], "--workdir=new", cwd=tmp_path)
    assert "has 5 held-out images; the metrics need 6" in refusal(done)


def test_few_held_out_images_are_enough_where_no_neighbours_are_counted(command, tmp_path):
    write_digits(tmp_path / "digits", heldout=7)
    done = command("vae", *DEFAULTS["vae"], "--workdir=new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["gan", "vae", "lm", pytest.param("codec", marks=pytest.mark.all)])
def test_divergence_names_its_step(command, place, tmp_path, name):
    options = ["--learning_rate=1e30", "--checkpoint_every=100", f"--workdir={tmp_path / 'run'}"]
    with nothing_changes(place):
        done = command(name, *DEFAULTS[name], *options, cwd=place)
    line = refusal(done, DIVERGED, "diverged")
    assert re.search("(at|after) step [123];", line)  # the language model's rate begins at 0
    assert "no checkpoint was due before" in line
    assert list((tmp_path / "run" / "checkpoints").glob("[0-9]*")) == []


def test_a_state_that_is_not_finite_is_not_saved(command, place, tmp_path):
    # The rate is infinite in float32: the first step's loss is finite, its update is not.
    options = ["--learning_rate=1e39", "--checkpoint_every=1", f"--workdir={tmp_path / 'run'}"]
    line = refusal(command("vae", *VAE, *options, cwd=place), DIVERGED, "diverged")
    assert "not finite after step 1; no checkpoint was due before" in line
    assert list((tmp_path / "run" / "checkpoints").glob("[0-9]*")) == []


def test_divergence_keeps_the_last_good_checkpoint(command, place, tmp_path):
    # Adam's first update moves each parameter by about 1e10; at the second step μ² overflows.
    options = ["--learning_rate=1e10", "--checkpoint_every=1", f"--workdir={tmp_path / 'run'}"]
    line = refusal(command("vae", *VAE, *options, cwd=place), DIVERGED, "diverged")
    assert "at step 2" in line
    assert "the last good checkpoint is of step 1" in line
    kept = contents(tmp_path / "run" / "checkpoints" / "1")
    again = refusal(command("vae", *VAE, *options, cwd=place), DIVERGED, "diverged")
    assert again == line
    assert contents(tmp_path / "run" / "checkpoints" / "1") == kept
    out = tmp_path / "a.npz"
    sampled = command("sample", f"--workdir={tmp_path / 'run'}", f"--out={out}", cwd=place)
    assert sampled.returncode == 0, sampled.stderr
    assert "at step 1" in sampled.stdout
    assert np.isfinite(np.load(out)["images"]).all()


@pytest.mark.parametrize(
    ("module", "arguments", "code", "word"),
    [
        ("gan", [*GAN, "--batch_size=0"], BAD_INPUT, "error"),
        ("gan", [*GAN, "--stepz=1"], BAD_INPUT, "error"),
        ("gan", [*GAN, "--learning_rate=1e30"], DIVERGED, "diverged"),
        ("sample", ["--workdir=empty", "--out=a.png"], BAD_INPUT, "error"),
        ("quickstart", ["--workdir=story.txt/run"], BAD_INPUT, "error"),
    ],
)
def test_the_exit_codes_of_python_m(launch, place, tmp_path, module, arguments, code, word):
    at = [] if "--workdir" in " ".join(arguments) else [f"--workdir={tmp_path / 'run'}"]
    with nothing_changes(place):
        done = launch(f"experiments.{module}", *arguments, *at, cwd=place, check=False)
    refusal(done, code, word)
