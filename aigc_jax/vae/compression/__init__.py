"""Lossless compression with a trained VAE: bits-back coding, and the file it is kept in."""
