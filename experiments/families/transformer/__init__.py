"""What the families with a Transformer, the language model and the translator, have in common."""
