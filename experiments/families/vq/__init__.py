"""Autoencoders with discrete latents."""
