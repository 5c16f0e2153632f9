"""Figures on held-out data, a file for each kind, and trivial models to hold them against."""
