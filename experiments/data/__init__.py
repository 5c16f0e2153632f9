"""From flags to data sets."""
