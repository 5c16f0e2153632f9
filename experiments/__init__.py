"""Runnable experiments: `python -m experiments.gan`, `.vae`, `.lm`, `.sample`, `.evaluate`,
`.quickstart`."""
