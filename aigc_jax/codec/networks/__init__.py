"""Encoders, decoders and critics of images, sounds and videos."""
