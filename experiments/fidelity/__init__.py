"""How generated data are evaluated: in the features of a classifier of real ones."""
