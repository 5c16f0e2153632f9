"""Mixtures of products of Bernoullis."""
