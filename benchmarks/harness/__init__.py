"""What the programs of side-by-side comparisons share."""
