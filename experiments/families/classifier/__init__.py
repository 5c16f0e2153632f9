"""The classifier of images."""
