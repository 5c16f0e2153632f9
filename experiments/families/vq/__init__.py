"""Autoencoders with codes for latents."""
