"""A run, from its folder to its page and back."""
