"""What a run makes of its pictures and says of its figures."""

import numpy as np
import pytest
from PIL import Image

from experiments.runs.artefacts import write_artefact


class Killed(BaseException):
    pass


def shades(path):
    """The grey of each frame of an animation, as the toy paints it: 255 · step / 200."""
    with Image.open(path) as image:
        assert image.format == "GIF"
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append(int(np.asarray(image.convert("L"))[0, 0]))
        return found


def shades_of(steps):
    return [round(255 * step / 200) for step in steps]


def test_a_run_ends_with_an_animation_of_its_samples(toy, tmp_path):
    run = tmp_path / "run"
    toy.Toy().train(run)
    assert shades(run / "samples/samples.gif") == shades_of(range(10, 121, 10))
    assert (run / "index.html").read_text().count("data:image/gif;base64,") == 1
    toy.Toy().train(run, steps=140)
    assert shades(run / "samples/samples.gif") == shades_of(range(10, 141, 10))


@pytest.mark.parametrize(("steps", "there"), [(20, False), (30, True)])
def test_two_pictures_are_no_animation(toy, tmp_path, steps, there):
    toy.Toy().train(tmp_path / "run", steps=steps)
    assert (tmp_path / "run/samples/samples.gif").exists() == there


def test_pictures_of_evaluations_that_are_none_of_the_run_are_not_in_it(toy, tmp_path):
    def kill(step):
        if step == 60:
            raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        toy.Toy(toy.wiggling, kill).train(run)  # checkpoint 30, evaluated at 40 and 50
    assert (run / "samples/samples_0000050.png").exists()
    toy.Toy().train(run, eval_every=20, steps=80)
    assert shades(run / "samples/samples.gif") == shades_of([10, 20, 30, 40, 60, 80])


@pytest.mark.parametrize("artefact", ["text", np.zeros((1, 1, 2, 2, 1))])
def test_an_artefact_is_named_after_its_step(toy, tmp_path, artefact):
    folder = toy.Toy().train(tmp_path / "run", steps=1)
    write_artefact(folder, "thing", 12, artefact)
    names = {p.name for p in folder.samples.iterdir()}
    assert names == {
        "samples_0000001.png",
        "thing_0000012.txt" if isinstance(artefact, str) else "thing_0000012.png",
    }


def test_a_warning_is_noted_when_it_first_appears_and_stands_on_the_page(toy, tmp_path, capfd):
    coverage = {10: 0.8, 20: 0.2, 30: 0.1, 40: 0.9, 50: 0.3, 60: 0.25}
    run = tmp_path / "run"

    def warned():
        lines = [line for line in capfd.readouterr().err.splitlines() if "warning:" in line]
        return [int(line.split("at step ")[1].split(",")[0]) for line in lines]

    def train(steps):
        toy.Toy(None, metrics=lambda step: {"coverage": coverage[step]}).train(run, steps=steps)
        return warned(), 'class="warning"' in (run / "index.html").read_text()

    assert train(10) == ([], False)
    assert train(30) == ([20], True)  # still low at 30
    assert train(50) == ([50], True)  # risen at 40
    assert train(60) == ([], True)  # known from the process before
    assert train(60) == ([], True)


def test_a_healthy_run_has_no_warning(toy, tmp_path, capfd):
    toy.Toy(None, metrics=lambda step: {"coverage": 0.5}).train(tmp_path / "run")
    assert "warning" not in capfd.readouterr().err
    assert 'class="warning"' not in (tmp_path / "run/index.html").read_text()
