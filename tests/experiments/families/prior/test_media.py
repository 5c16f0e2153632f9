"""Codecs and priors of each medium, from the command line to a page that a browser plays."""

import http.server
import json
import shutil
import subprocess
import threading
import wave
from functools import cache

import numpy as np
import pytest
from PIL import Image

from aigc_jax.artefacts import Sound
from aigc_jax.data.video import read_video
from experiments.families.codec import filing

pytestmark = [pytest.mark.all, pytest.mark.xdist_group("media")]  # which share their runs

STEPS = ["--steps=4", "--steps_per_dispatch=2", "--batch_size=8", "--log_every=2"]
OFTEN = [*STEPS, "--eval_every=2", "--checkpoint_every=2"]
NETWORK = ["--layers=1", "--heads=2", "--width=8", "--warmup_steps=1"]
PRIORS = {
    "image": [],
    "fill": ["--preset=maskgit", "--passes=3"],
    "audio": [],
    "delay": ["--layout=delay"],
    "video": ["--given=2"],
    "diffusion": ["--preset=diffusion", "--passes=2", "--given=4"],
    "said": ["--captions=labels", "--layout=delay"],
    "texts": ["--captions=files", "--preset=maskgit", "--passes=2", "--given=2"],
}
MEDIUM = {"fill": "image", "delay": "audio", "diffusion": "video", "said": "audio"}
MEDIUM["texts"] = "video"
NAMES = pytest.mark.parametrize("name", PRIORS)
COUNT = 44  # so that four are held out, and there are clusters of training features


def write_sounds(folder):
    """Stereo sounds of about a quarter of a second, in two classes."""
    for i in range(COUNT):
        place = folder / ("low notes", "high notes")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        time = np.arange(11_025 + 100 * i) / 44_100
        tone = 0.3 * np.sin(2 * np.pi * (200 + 400 * (i % 2) + 5 * i) * time)
        file = Sound(np.stack([tone, 0.5 * tone], axis=1), 44_100)
        (place / f"{i:02}.wav").write_bytes(file.encode())


def write_videos(folder):
    """Squares in colour that move to the right, six frames of 14 × 12 pixels, with captions."""
    metadata = {"medium": "video", "rate": 8}
    folder.mkdir()
    for i in range(COUNT):
        frames = np.zeros((6, 14, 12, 3), np.uint8)
        for t in range(6):
            frames[t, i % 9 : i % 9 + 4, t : t + 4, i % 3] = 255
        (folder / f"{i:02}.gif").write_bytes(filing.content(frames, metadata))
        colour = ("red", "green", "blue")[i % 3]
        (folder / f"{i:02}.txt").write_text(f"a {colour} square, {i % 9} below the top\n")


@pytest.fixture(scope="module")
def place(launch, tmp_path_factory, digit_classifier):
    """A folder with data, classifiers of them, and a codec of each medium."""
    place = tmp_path_factory.mktemp("media")
    write_sounds(place / "tones of mine")
    write_videos(place / "squares")
    own = "--sounds=tones of mine"
    few = ["--steps=2", "--batch_size=8"]
    launch("experiments.classifier", own, "--attribute=class", *few, cwd=place)
    launch("experiments.classifier", own, "--preset=perceptual", *few, cwd=place)
    data = {
        "image": [f"--classifier={digit_classifier}", "--perceptual_weight=0"],
        "audio": [own, "--stages=2"],
        "video": ["--videos=squares", "--halvings=1", "--stride=2"],
    }
    for medium, options in data.items():
        given = [f"--medium={medium}", "--width=8", "--codes=16", f"--workdir=codec {medium}"]
        launch("experiments.codec", *OFTEN, *given, *options, cwd=place)
    return place


@pytest.fixture(scope="module")
def prior(place, launch, digit_classifier):
    """`prior(name)`: the folder of a run of `PRIORS`."""

    @cache
    def trained(name):
        medium = MEDIUM.get(name, name)
        given = [f"--codec=codec {medium}", f"--workdir=prior {name}", *PRIORS[name]]
        if medium == "image":
            given.append(f"--classifier={digit_classifier}")
        launch("experiments.prior", *OFTEN, *NETWORK, *given, cwd=place)
        return place / f"prior {name}"

    return trained


def untold(folder, toy):
    """Of texts, those of metrics that few or small signals do not have are allowed."""
    unexplained, foreign = toy.untold(folder)
    return unexplained, foreign - {"fcd"}


@pytest.mark.parametrize(
    ("medium", "shown"),
    [
        ("image", {"reconstructions.png", "codebook.txt"}),
        ("audio", {"originals.wav", "decoded.wav", "spectrograms.png", "codebook.txt"}),
        ("video", {"reconstructions.gif", "codebook.txt"}),
    ],
)
def test_a_codec_is_shown_and_evaluated_again(medium, shown, place, launch, toy):
    folder = place / f"codec {medium}"
    found = {p.stem.rsplit("_", 1)[0] + p.suffix for p in (folder / "samples").iterdir()}
    assert found == shown
    assert untold(folder, toy) == (set(), set())
    again(folder, launch)


def test_another_classifier_than_the_runs_own_is_refused(place, prior, launch):
    launch("experiments.classifier", "--steps=2", "--seed=1", "--workdir=other", cwd=place)
    for folder in (place / "codec image", prior("image")):
        given = [f"--workdir={folder.name}", "--classifier=other"]
        done = launch("experiments.evaluate", *given, cwd=place, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "the classifier of the class is not the one that this run was eval" in done.stderr


def again(folder, launch):
    """experiments.evaluate finds the metrics that the run has."""
    out = folder.parent / "again.json"
    launch("experiments.evaluate", f"--workdir={folder.name}", f"--out={out}", cwd=folder.parent)
    found = json.loads(out.read_text())["heldout"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["split"] == "heldout"][-1]
    assert found == {k: pytest.approx(last[k], rel=1e-5) for k in last if k in found}
    assert last.keys() == found.keys() | {"step", "split", "wall_s"}


@NAMES
def test_a_prior_is_shown_and_evaluated_again(name, prior, launch, toy):
    folder = prior(name)
    shown = {"image": {"samples.png"}, "audio": {"samples.wav", "spectrograms.png"}}
    shown["video"] = {"samples.gif", "predictions.gif"}
    found = {p.stem.rsplit("_", 1)[0] + p.suffix for p in (folder / "samples").iterdir()}
    told = {"captions.txt"} if name in ("said", "texts") else set()
    assert found == shown[MEDIUM.get(name, name)] | told
    assert untold(folder, toy) == (set(), set())
    again(folder, launch)


@pytest.mark.parametrize("name", ["image", "fill"])
def test_images_of_labels(name, prior, launch, tmp_path):
    run = f"--workdir={prior(name)}"
    for seed in (0, 0, 1):
        file = f"--out={tmp_path / f'{seed}.npz'}"
        asked = ["--num=5", "--labels=3,?,7", "--guidance=2.5", f"--seed={seed}"]
        launch("experiments.sample", run, file, *asked, cwd=tmp_path)
    (one, labels), (other, _) = (
        [np.load(tmp_path / f"{seed}.npz")[k] for k in ("images", "labels")] for seed in (0, 1)
    )
    assert one.shape == (5, 28, 28, 1)
    assert one.dtype == np.uint8
    assert labels.tolist() == [[3], [-1], [7], [3], [-1]]
    assert (one != other).any()


@pytest.mark.parametrize("name", ["audio", "delay"])
def test_sounds_of_labels_and_after_a_prompt(name, prior, launch, tmp_path):
    run = f"--workdir={prior(name)}"
    launch("experiments.sample", run, "--out=a.wav", "--labels=low notes,?", cwd=tmp_path)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == 8000
        length = (file.getnframes() - 2000) // 2
    prompt = np.sin(np.arange(4000) / 10)
    (tmp_path / "begun.wav").write_bytes(Sound(prompt, 22_050).encode())
    given = ["--prompt_file=begun.wav", "--num=3", "--out=b.npz"]
    launch("experiments.sample", run, *given, cwd=tmp_path)
    found = np.load(tmp_path / "b.npz")
    assert found["sounds"].shape == (3, length)
    assert found["sounds"].dtype == np.int16
    assert int(found["rate"]) == 8000
    assert found["labels"].tolist() == [[0], [1], [0]]
    # Eleven codes are given; what is near their end depends on what follows.
    one, other, _ = found["sounds"][:, :256].astype(int)
    assert np.abs(one - other).max() <= 1  # of 2¹⁵, as rows of a batch are rounded


@pytest.mark.parametrize("name", ["video", "diffusion"])
def test_videos_and_what_follows_after_a_prompt(name, prior, launch, place, tmp_path):
    run = f"--workdir={prior(name)}"
    launch("experiments.sample", run, "--num=2", "--out=a.gif", cwd=tmp_path)
    frames, rate = read_video(tmp_path / "a.gif")
    assert frames.shape[1:3] == (15, 26)
    assert rate == pytest.approx(8, rel=0.05)
    with Image.open(place / "squares" / "00.gif") as gif:
        pages = [gif.seek(i) or gif.convert("RGB") for i in range(3)]
    pages[0].save(tmp_path / "three.gif", save_all=True, append_images=pages[1:], duration=130)
    given = ["--num=2", "--prompt_file=three.gif", "--out=b.npz"]
    launch("experiments.sample", run, *given, cwd=tmp_path)
    assert np.load(tmp_path / "b.npz")["videos"].shape == (2, 6, 14, 12, 3)


def test_sounds_and_videos_of_captions(prior, launch, tmp_path):
    run = f"--workdir={prior('said')}"
    asked = ["--caption=low notes", "--caption=", "--guidance=2.5", "--num=3", "--out=a.npz"]
    launch("experiments.sample", run, *asked, cwd=tmp_path)
    found = np.load(tmp_path / "a.npz")
    assert found["captions"].tolist() == ["low notes", "", "low notes"]
    assert found["sounds"].shape[0] == 3
    folder = prior("said")
    said = json.loads((folder / "config.json").read_text())["metadata"]["captions"]
    assert set(said["examples"]) <= {"low notes", "high notes"}
    launch("experiments.sample", f"--workdir={prior('texts')}", "--out=b.npz", cwd=tmp_path)
    found = np.load(tmp_path / "b.npz")
    assert found["videos"].shape == (4, 6, 14, 12, 3)
    assert all(text.endswith(" below the top") for text in found["captions"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--caption=" + "x" * 40], "--caption: a caption of 40 bytes is longer than the 10 that"),
        (["--labels=low notes"], "not the run in"),
    ],
)
def test_what_a_prior_was_not_told_is_refused(given, message, prior, launch, tmp_path):
    run = f"--workdir={prior('said')}"
    done = launch("experiments.sample", run, "--out=a.wav", *given, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


@pytest.mark.parametrize("medium", ["audio", "video"])
def test_files_go_to_codes_and_back(medium, place, launch, tmp_path):
    run = f"--workdir={place / f'codec {medium}'}"
    source = place / {"audio": "tones of mine", "video": "squares"}[medium]
    launch("experiments.encode", run, str(source), "codes.npz", cwd=tmp_path)
    launch("experiments.decode", run, "codes.npz", "back", cwd=tmp_path)
    files = {"audio": "*.wav", "video": "*.gif"}[medium]
    names = [{str(p.relative_to(f)) for p in f.rglob(files)} for f in (source, tmp_path / "back")]
    assert names[0] == names[1]
    metadata = json.loads((place / f"codec {medium}" / "config.json").read_text())["metadata"]
    for name in sorted(names[0])[:3]:
        shapes = [filing.read_signal(f / name, metadata).shape for f in (source, tmp_path / "back")]
        assert shapes[0] == shapes[1]


def test_a_table_has_a_row_for_each_prior(prior, launch, place):
    for name in PRIORS:
        prior(name)
    done = launch("experiments.table", "--runs=prior *", cwd=place)
    for name in ("delay", "maskgit", "diffusion", "mnist5k", "tones of mine", "squares"):
        assert name in done.stdout


def state(folder):
    """The SHA-256 of the newest checkpoint, all metrics without their time, and all samples."""
    steps = [p for p in (folder / "checkpoints").iterdir() if p.name.isdecimal()]
    newest = max(steps, key=lambda p: int(p.name))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return (
        json.loads((newest / "meta" / "metadata").read_text())["sha256"],
        [{k: v for k, v in line.items() if k != "wall_s"} for line in lines],
        {p.name: p.read_bytes() for p in (folder / "samples").iterdir() if p.name[0] != "."},
    )


def test_a_moving_digit_has_two_judges_and_a_text_for_all_that_they_say(place, launch, toy):
    data = ["--dataset=moving_mnist5k", "--digits=1", "--frames=6"]
    few = ["--steps=2", "--batch_size=8"]
    launch("experiments.classifier", *data, *few, cwd=place)
    launch("experiments.classifier", *few, cwd=place)
    given = ["--width=4", "--codes=16", "--workdir=codec moving"]
    done = launch("experiments.codec", "--medium=video", *OFTEN, *given, *data, cwd=place)
    assert "training it first" not in done.stderr  # they are where they are sought
    given = ["--codec=codec moving", "--given=2", "--workdir=prior moving"]
    launch("experiments.prior", *OFTEN, *NETWORK, *given, cwd=place)
    for folder in (place / "codec moving", place / "prior moving"):
        assert toy.untold(folder) == (set(), set())
        known = json.loads((folder / "config.json").read_text())["metadata"]
        assert known["classifier_sha256"].keys() == {"digits", "digit in a frame"}
    lines = (place / "prior moving" / "metrics.jsonl").read_text().splitlines()
    real = next(m for m in map(json.loads, lines) if m["split"] == "held-out signals")
    assert real["identity_persistence"] == real["prediction_persistence"] == 1.0
    assert real["path_error_px"] < 0.6
    assert real["fcd"] > 0


@pytest.mark.parametrize("program", ["codec", "prior"])
def test_kill_9_at_any_write_and_on_to_the_same_bits(program, place, forks, tmp_path):
    common = [*STEPS, "--eval_every=2", "--checkpoint_every=1", "--steps_per_dispatch=1"]
    options = {
        "codec": [f"--videos={place / 'squares'}", "--medium=video", "--width=4", "--halvings=1"],
        "prior": [f"--codec={place / 'codec video'}", f"--videos={place / 'squares'}", *NETWORK],
    }[program]
    module = f"experiments.{program}"
    whole = [*options, *common, "--workdir=whole"]
    assert forks.run(module, *whole, cwd=tmp_path).returncode == 0
    code, kills, moments = -9, 0, [4, 15, 30, 50]
    while code:
        at = [moments[kills], str(tmp_path / "run")] if kills < len(moments) else None
        again = [*options, *common, "--workdir=run"]
        code = forks.run(module, *again, cwd=tmp_path, struck=at).returncode
        assert code in (0, -9)
        kills += code != 0
    assert kills >= 3
    assert state(tmp_path / "run") == state(tmp_path / "whole")


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# Plays each sound until it is under way, and tells the server how that went.
PLAYING = """<script>
async function played(audio) {
  audio.muted = true;
  await audio.play().catch(() => {});  // which leaves it where it is
  const end = performance.now() + 20000;
  while (audio.currentTime < 0.1 && performance.now() < end)
    await new Promise(r => setTimeout(r, 20));
  return [audio.readyState, audio.currentTime, audio.duration, audio.error];
}
window.onload = async () => {
  const sizes = image => [image.src.slice(5, 14), image.naturalWidth, image.naturalHeight];
  const images = [...document.images].map(sizes);
  const sounds = await Promise.all([...document.querySelectorAll("audio")].map(played));
  const fits = document.documentElement.scrollWidth <= innerWidth;
  fetch("/done", {method: "POST", body: JSON.stringify({images, sounds, fits})});
};
</script>"""


def seen(page, profile):
    """What a browser makes of a page: of its images, their size; of its sounds, how they play."""
    said, done = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = page.encode() + PLAYING.encode()
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content if self.path == "/" else b"")

        def do_POST(self):
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *arguments):
            pass

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += [
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
        "--window-size=1200,900",
    ]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        quiet = subprocess.DEVNULL
        browser = subprocess.Popen(
            [BROWSER, *flags, "--remote-debugging-port=0", address], stdout=quiet, stderr=quiet
        )
        try:
            assert done.wait(60), "the browser did not answer"
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
    return said[0]


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
@pytest.mark.parametrize(
    ("name", "sounds", "kinds"),
    [
        ("codec audio", 2, ["image/png"]),
        ("codec video", 0, ["image/gif"]),
        ("prior audio", 1, ["image/png"]),
        ("prior video", 0, ["image/gif"] * 2),
    ],
)
def test_a_browser_plays_what_is_on_the_page(name, sounds, kinds, place, prior, tmp_path):
    folder = prior(name.split()[1]) if name.startswith("prior") else place / name
    page = (folder / "index.html").read_text("utf-8")
    found = seen(page, tmp_path / "profile")
    assert [kind for kind, *_ in found["images"]] == kinds
    assert all(min(size) > 1 for _, *size in found["images"])
    assert len(found["sounds"]) == sounds
    for ready, time, duration, error in found["sounds"]:
        assert error is None
        assert ready >= 2  # HAVE_CURRENT_DATA
        assert 0.1 <= time <= duration
    assert found["fits"]  # nothing is wider than the window
