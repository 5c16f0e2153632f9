"""Figures on held-out data, one file for each kind, and the trivial baselines to hold them
against."""
