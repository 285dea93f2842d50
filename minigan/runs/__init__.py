"""A run on disk: training a recipe into a folder, resuming it, drawing it, judging it."""
