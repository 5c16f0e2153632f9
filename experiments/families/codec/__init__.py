"""Codecs of images, sounds and videos, and the prior over their codes."""
