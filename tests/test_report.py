import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from aigc_jax import report
from aigc_jax.pictures import image_grid
from aigc_jax.report import page
from aigc_jax.run_folder import RunFolder

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Document(HTMLParser):
    """Checks that elements nest; collects tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def png(shade):
    return image_grid(np.full((1, 1, 2, 2, 1), shade))


def config(**changes):
    return {
        "experiment": "gan",
        "title": "Generative adversarial network",
        "command": "python -m experiments.gan",
        "options": {"preset": "default", "steps": 3000, "batch_size": 128},
        "metadata": {},
        "parameters": {"params_g": 12345},
        "data": {
            "name": "mnist5k",
            "unit": "images",
            "train": 4500,
            "heldout": 500,
            "sha256": "ab",
        },
        "metrics": {"precision": "share of samples"},
        "hardware": "2 CPU cores",
        "versions": {"jax": "0.10.2"},
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.create()
    made.write_config(config())
    return made


def written(folder):
    return report.write_page(folder, folder.read_config())


def section_of(folder):
    return report.run_section(folder, folder.read_config())


def add_metrics(folder):
    folder.append_metrics(0, "training images", {"precision": 0.9}, 0.0)
    for step in (100, 200, 300):
        folder.append_metrics(step, "train", {"loss_d": 1.0 + 1 / step}, step / 10)
        folder.append_metrics(step, "heldout", {"precision": step / 1000}, step / 10)


def test_a_page_says_what_was_trained_on_what_and_how_well(folder):
    add_metrics(folder)
    (folder.samples / "samples_0000300.png").write_bytes(png(0.5))
    path = written(folder)
    assert path == folder.path / "index.html"
    document = Document(path.read_text("utf-8"))
    assert "Preset default on mnist5k (4,500 images to train on, 500 held out)" in document.text
    assert "300 of 3,000 steps of 128 examples in 30 s on 2 CPU cores" in document.text
    assert "params_g 12,345" in document.text
    assert "python -m experiments.gan" in document.text
    assert document.tags.count("svg") == 2
    # The last evaluation and, beside it, the baseline of the same metric.
    row = re.search(r"<code>precision</code></td>(.*?)</tr>", path.read_text("utf-8"))[1]
    assert re.findall(r'"n">([^<]*)<', row) == ["0.3", "0.9"]
    assert "share of samples" in row


def test_a_page_names_the_classes(folder):
    names = ["cat", "caf\udce9", "<b>\x1b[31m", *map(str, range(3, 40))]
    folder.write_config(config(data={"name": "pets", "classes": names}))
    text = Document(written(folder).read_text("utf-8")).text
    assert r"Classes: 0 cat, 1 caf\udce9, 2 <b>\x1b[31m, 3 3, " in text
    assert "29 29 and 10 more." in text


def test_a_page_needs_nothing_from_elsewhere(folder):
    add_metrics(folder)
    (folder.samples / "samples_0000300.png").write_bytes(png(0.5))
    text = written(folder).read_text("utf-8")
    document = Document(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(document.tags)
    baselines = [
        value
        for name, value in document.attributes
        if name.rsplit(":", 1)[-1] in ("src", "href", "srcset", "data", "action", "poster")
    ]
    assert baselines
    assert all(value.startswith(("#", "data:")) for value in baselines)
    assert not re.search(r"@import|url\((?!#)", text)


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>', "a & b </pre>"])
def test_what_others_wrote_is_shown_and_not_obeyed(tmp_path, evil):
    folder = RunFolder(tmp_path / "run <b>")
    folder.create()
    folder.write_config(
        config(
            title=evil,
            command=evil,
            data={"name": evil, "unit": evil, "train": 1, "heldout": 1, "sha256": evil},
            options={"preset": evil, "steps": 1, "batch_size": 1, evil: evil},
            parameters={evil: 1},
            metrics={evil: evil},
            captions={"a<i>": evil},
            warnings=[evil],
            hardware=evil,
            versions={evil: evil},
        )
    )
    for step in (1, 2):
        folder.append_metrics(0, evil, {evil: 1.0}, 0.0)
        folder.append_metrics(step, "heldout", {evil: 1.0}, 0.0)
    (folder.samples / "a<i>_0000002.txt").write_text(evil)
    (folder.samples / "a<u>_0000002.png").write_bytes(png(0))
    document = Document(written(folder).read_text("utf-8"))
    assert not {"script", "i", "u"} & set(document.tags)
    assert document.tags.count("b") == 1  # "Warning."
    assert document.tags.count("img") == 1
    assert document.text.count(evil) >= 12


@pytest.mark.parametrize("metrics", [True, False])
def test_a_run_without_samples_has_a_page(folder, metrics):
    if metrics:
        add_metrics(folder)
    document = Document(written(folder).read_text("utf-8"))
    assert "img" not in document.tags
    assert ("None yet." in document.text) != metrics


def test_the_artefact_of_the_greatest_step_is_shown(folder):
    for step, shade in [(9, 0.1), (100, 0.2), (20, 0.3)]:
        (folder.samples / f"samples_{step}.png").write_bytes(png(shade))
        (folder.samples / f"samples_{step}.txt").write_text(f"text of {step}")
    (folder.samples / "reconstructions_0000050.png").write_bytes(png(0.4))
    (folder.samples / ".half_7.png.tmp").write_bytes(b"half")
    (folder.samples / "unnumbered.png").write_bytes(b"not ours")
    section = section_of(folder)
    shown = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]*)\"", section)]
    assert shown == [png(0.4), png(0.2)]
    assert re.findall("text of [0-9]+", section) == ["text of 100"]
    assert "(step 100)" in section


def test_artefacts_come_in_the_order_of_their_captions_and_an_animation_after_its_pictures(folder):
    captions = {"tune": "A <tune>", "faces": "Faces", "poem": "A poem", "absent": "Nothing"}
    folder.write_config(config(captions=captions))
    for name in ("zebra.png", "faces.png", "apple.gif", "tune.wav", "poem.txt", "ode.txt"):
        stem, suffix = name.split(".")
        (folder.samples / f"{stem}_0000007.{suffix}").write_bytes(suffix.encode())
    (folder.samples / "faces.gif").write_bytes(b"moving")
    (folder.samples / "film_0000007.mkv").write_bytes(b"not ours")
    section = section_of(folder)
    assert re.findall(r"<figcaption>(.*?)</figcaption>", section) == [
        "A &lt;tune&gt; (step 7)",
        "Faces (step 7)",
        "Training, from the first evaluation to the last",
        "apple (step 7)",
        "zebra (step 7)",
        "A poem (step 7)",
        "ode (step 7)",
    ]
    shown = re.findall(r'<(\w+)[^>]* src="data:(\w+/\w+);base64,([^"]*)"', section)
    assert [(tag, kind, base64.b64decode(data)) for tag, kind, data in shown] == [
        ("audio", "audio/wav", b"wav"),
        ("img", "image/png", b"png"),
        ("img", "image/gif", b"moving"),
        ("img", "image/gif", b"gif"),
        ("img", "image/png", b"png"),
    ]
    assert section.count("<pre>txt</pre>") == 2


@pytest.mark.parametrize(
    ("goal", "words"),
    [(None, ""), (0.5, " Goal: 0.5, not reached yet."), (2, " Goal: 2, reached.")],
)
def test_the_best_score_is_named_with_its_step(folder, goal, words):
    folder.write_config(config(score="fcd", goal=goal))
    for step, fcd in [(100, 3.0), (200, 1.2345678), (3000, float("nan")), (4000, 1.2345678)]:
        folder.append_metrics(step, "heldout", {"fcd": fcd}, 0.0)
    (text,) = re.findall(r"<p>(Best .*?)</p>", section_of(folder))
    assert text == f"Best fcd: 1.235 at step 200; lower is better.{words}"


@pytest.mark.parametrize("score", [None, "fcd"])
def test_without_scores_none_is_best(folder, score):
    folder.write_config(config(score=score))
    add_metrics(folder)
    assert "Best" not in section_of(folder)


def test_warnings_stand_at_the_top(folder):
    folder.write_config(config(warnings=["Coverage <fell>.", "Classes are missing."]))
    section = section_of(folder)
    sentences = re.findall(r'<p class="warning"><b>Warning.</b> (.*?)</p>', section)
    assert sentences == ["Coverage &lt;fell&gt;.", "Classes are missing."]
    assert section.index("<h2>") < section.index(sentences[0]) < section.index("<h3>")


def test_each_number_of_a_metric_with_several_has_a_curve_and_the_same_meaning(folder):
    folder.write_config(config(metrics={"norm": "of a layer's gradient"}))
    for step in (1, 2):
        values = {"norm[0]": step, "norm[1]": 2.0 * step}
        folder.append_metrics(step, "train", values, 0.0)
    section = section_of(folder)
    assert section.count("<figcaption>of a layer&#x27;s gradient</figcaption>") == 2


def test_a_metric_that_was_not_finite_is_left_out(folder):
    for step, loss in [(1, 1.0), (2, float("nan")), (3, 2.0)]:
        folder.append_metrics(step, "train", {"loss_d": loss}, 0.0)
    folder.append_metrics(3, "heldout", {"precision": float("nan"), "recall": 0.25}, 0.0)
    document = Document(written(folder).read_text("utf-8"))
    assert "svg" in document.tags
    assert "nan" not in document.text.lower()
    assert "0.25" in document.text


def test_a_page_is_one_document():
    document = Document(page("A & B", "lead <p>", ["<h2>one</h2>", "<h2>two</h2>"]))
    assert document.tags.count("h2") == 2
    assert "A & B" in document.text
    assert "lead <p>" in document.text


def test_a_metric_that_never_changes_has_no_curve(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config(config())
    for step in (10, 20, 30):
        folder.append_metrics(step, "train", {"loss": 1.0 / step, "penalty_d": 0.0}, 1.0)
    document = Document(section_of(folder))
    assert document.tags.count("svg") == 1
