"""Data sets, tokenisers and the order in which training reads them."""
