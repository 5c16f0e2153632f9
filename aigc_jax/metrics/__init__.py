"""Metrics on held-out data, a file for each kind, and trivial models as baselines."""
