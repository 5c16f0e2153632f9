"""Experiments to run: `python -m experiments.gan` and its neighbours."""
