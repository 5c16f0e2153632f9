"""Priors over the codes of codecs."""
