"""Signals are the main thread's; a training elsewhere, as in a notebook, runs without them."""

import signal
import threading

from experiments.cli.signals import noted_signals


def in_a_thread(work):
    """What `work` returns in a thread of its own; what it raises is raised here."""
    ended = []

    def run():
        try:
            ended.append((work(), None))
        except BaseException as error:
            ended.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = ended[0]
    if error:
        raise error
    return result


def test_a_training_in_a_thread_comes_to_its_end(toy, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    in_a_thread(lambda: toy.Toy().train(tmp_path / "run"))
    toy.Toy().train(tmp_path / "main")
    assert toy.metrics(tmp_path / "run") == toy.metrics(tmp_path / "main")
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_noted_in_the_main_thread(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with noted_signals() as received:
        assert in_a_thread(lambda: signal.getsignal(signal.SIGTERM)) is not before
        signal.raise_signal(signal.SIGTERM)
        assert received() == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is before
    assert "stopping after this dispatch" in capsys.readouterr().err
