"""What makes the benchmarks' results trustworthy: their checks, turns and ratios."""

import jax
import numpy as np
import pytest

from aigc_jax import gan, transformer
from aigc_jax.errors import InputError
from benchmarks import scaling
from benchmarks.harness import machine, ours, ratios, turns, utilisation
from benchmarks.harness.turns import Check, Mismatch, Row

CHECK = Check(np.zeros((1, 2), np.int32), np.zeros((1, 2, 0)), np.array([[2.0, 4.0]]))


def row(losses=((2.0, 4.0),), advances=1, log=None, name=""):
    """A program that says it has done `advances` steps for each one asked for."""
    done = [0]

    def work(steps):
        done[0] += advances * steps
        if log is not None:
            log.append(name)

    return Row(work, lambda: list(done), lambda *_: np.array(losses))


def test_a_row_of_the_same_losses_passes():
    assert turns.check("a", row(((2.0, 4.0 * (1 + 5e-5)),)), CHECK) == pytest.approx(5e-5)


@pytest.mark.parametrize("losses", [((2.0, 4.001),), ((2.0, np.nan),), ((np.inf, 4.0),)])
def test_a_row_of_other_losses_is_refused(losses):
    with pytest.raises(Mismatch, match="losses differ"):
        turns.check("a", row(losses), CHECK)


@pytest.mark.parametrize("advances", [0, 2])
def test_a_row_that_does_not_do_its_steps_is_refused(advances, monkeypatch):
    monkeypatch.setattr(turns, "REST", 0.0)
    with pytest.raises(Mismatch, match=rf"advanced by \[{3 * advances}\] in 3 steps"):
        turns.turn("a", row(advances=advances), 3)


def test_rows_take_turns_and_every_other_round_is_reversed(monkeypatch):
    monkeypatch.setattr(turns, "REST", 0.0)
    monkeypatch.setattr(turns, "steps_per_turn", lambda *_: 1)
    log = []
    rows = {name: row(log=log, name=name) for name in "abc"}
    metrics, _ = turns.measure(rows, 3, 0.01)
    assert "".join(log) == "abccbaabc"
    assert all(len(metrics[name]["turns_ms"]) == 3 for name in "abc")


def test_unknown_rows_are_named():
    with pytest.raises(InputError, match="unknown x; it takes a, b"):
        turns.choose(["x"], ["a", "b"])
    assert turns.choose(["b", "a"], ["a", "b"]) == ["a", "b"]
    assert turns.choose(None, ["a", "b"]) == ["a", "b"]


def test_ratios_are_of_medians_and_the_best_peer_is_the_fastest():
    medians = {"article": 90.0, "slow": 8.0, "fast": 6.0, ratios.OURS: 3.0, "ours (jit)": 4.0}
    metrics = {name: {"median_ms": ms} for name, ms in medians.items()}
    peers, lines = ratios.add_ratios(metrics, "article")
    assert peers == {"article": "article", "best": "fast"}
    assert [metrics[name]["ratio_to_ours"] for name in medians] == pytest.approx(
        [30, 8 / 3, 2, 1, 4 / 3]
    )
    assert "2 times as fast" in lines[1]


def test_the_table_sets_ratios_beside_their_goals():
    result = {
        "rows": {"keras": {"ratio_to_ours": 42.5}, "torch": {"ratio_to_ours": 1.5}},
        "peers": {"best": "torch", "article": "keras"},
    }
    assert ratios.lines_of("textbook_gan", result) == [
        "| textbook_gan | torch | 1.50 | ≥ 1.8 |",
        "| textbook_gan | keras | 42.50 | ≥ 30 |",
    ]
    convolutions = {**result, "peers": {"best": "torch"}}
    for version, goal in (("0.10.2", "0.8"), ("0.12.0", "1.2")):
        found = ratios.lines_of("dcgan", {**convolutions, "versions": {"jax": version}})
        assert found == [f"| dcgan | torch | 1.50 | ≥ {goal} |"]
    assert ratios.lines_of("memory", None) == ["| memory | failed | | ≥ 0.833 |"]


def test_a_training_step_takes_six_operations_for_each_parameter_and_twelve_for_attention():
    """GPT-2: 6 · 123.6M + 12 · 12 · 768 · 1024 = 0.855 GFLOP for each token."""
    config = transformer.gpt2()
    assert utilisation.flops_per_token(config, 123_653_376) == pytest.approx(0.8552e9, rel=1e-3)


def test_utilisation_is_of_the_stated_peak():
    metrics = {"a": {"median_ms": 500.0}, "b": {"median_ms": 250.0}}
    lines = utilisation.add_throughput(metrics, tokens=1000, flops=1e9, peak_tflops=8.0)
    assert [row["tokens_per_second"] for row in metrics.values()] == [2000, 4000]
    assert [row["model_flops_utilisation"] for row in metrics.values()] == [0.25, 0.5]
    assert lines == [
        "a: 2,000 tokens/s, 25.0% of 8 TFLOP/s",
        "b: 4,000 tokens/s, 50.0% of 8 TFLOP/s",
    ]
    assert utilisation.add_throughput(metrics, 1000, 1e9, None)[0] == "a: 2,000 tokens/s"


def test_a_token_reads_all_parameters_once_and_keys_and_values_of_each_row():
    config = transformer.llama_small(100)  # 8 layers, 2 groups of 64
    read = utilisation.bytes_per_step(config, 1000, rows=3, mean_length=10.5, bytes_each=2)
    assert read == 1000 + 3 * 10.5 * 2 * 8 * 2 * 64 * 2


def test_a_coarser_tolerance_is_of_the_check():
    coarse = CHECK._replace(tolerance=turns.COARSE)
    assert turns.check("a", row(((2.0, 4.03),)), coarse) == pytest.approx(0.0075)
    with pytest.raises(Mismatch, match="above 1e-02"):
        turns.check("a", row(((2.0, 4.05),)), coarse)


def test_a_missing_gpu_is_said_in_one_line(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "KERAS_BACKEND", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(InputError, match="JAX sees no GPU here, only cpu"):
        machine.hold_to("gpu")


BATCH_SIZE, LOSSES = 64, ("loss_d", "loss_g")


def latents(state):
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 0)
    return gan.draw(key, BATCH_SIZE, gan.TEXTBOOK.config.latent_size).z


@pytest.mark.parametrize("make", [ours.scan_row, ours.step_row])
def test_our_rows_compute_what_the_free_functions_do(make, monkeypatch):
    monkeypatch.setattr(turns, "REST", 0.0)
    algorithm = gan.make(gan.TEXTBOOK)
    images = np.random.default_rng(0).random((300, 28, 28, 1), np.float32)
    data = ours.image_data(images, BATCH_SIZE)
    expected = ours.expected(algorithm, data, latents, LOSSES)
    made = make(algorithm, data, LOSSES)
    assert turns.check("ours", made, expected) < 1e-5
    assert turns.turn("ours", made, 2 * made.unit) > 0
    # The noise that peers are given is what our step has drawn.
    state = ours.initial_state(algorithm)
    fakes, _ = gan.networks_of(gan.TEXTBOOK).generate(
        gan.Variables(state.params_g, state.stats_g), expected.noise[0], None, True, None
    )
    real = images[expected.indices[0]]
    d = gan.Variables(state.params_d, state.stats_d)
    logits = [
        gan.networks_of(gan.TEXTBOOK).discriminate(d, x, None, True, None)[0] for x in (real, fakes)
    ]
    loss = np.mean(jax.nn.softplus(-logits[0]) + jax.nn.softplus(logits[1]))
    assert loss == pytest.approx(expected.losses[0, 0], rel=1e-5)


def test_an_exponent_is_that_of_the_largest_values():
    values = [1, 10, 20, 40]
    assert scaling.exponent(values, [500.0, *(3 * v**1.5 for v in values[1:])]) == pytest.approx(
        1.5
    )


def test_evaluation_is_held_against_training_at_its_dearest_point():
    def point(evaluation, training):
        return {"evaluation": {"ms": evaluation, "mb": 1.0}, "ours": {"ms": training, "mb": 4.0}}

    results = {"batch": {1: point(1.0, 2.0), 2: point(9.0, 10.0)}, "side": {1: {"ours": {}}}}
    assert scaling.dearest_evaluation(results) == {"ms": 0.9, "mb": 0.25}
