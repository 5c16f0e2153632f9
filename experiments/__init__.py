"""Experiments to run: `python -m experiments.gan` and its neighbours."""

from experiments import startup

startup.prepare("experiments")
