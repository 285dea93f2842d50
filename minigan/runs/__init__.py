"""Runs on disk: training a recipe into a folder, resuming, drawing and evaluating it."""
