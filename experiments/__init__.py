"""Experiments to run: `python -m experiments.gan` and its neighbours."""

from experiments.cli import startup

startup.prepare("experiments")
