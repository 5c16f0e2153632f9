"""Networks of classifiers in Flax Linen, as pure functions: of images, and of videos."""
