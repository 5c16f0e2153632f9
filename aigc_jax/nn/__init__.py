"""Linen modules that the networks of several families share."""
