"""What each family's experiment is: options, evaluation and artefacts."""
