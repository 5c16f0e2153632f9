"""How generated images are evaluated: in the features of a classifier of real ones."""
