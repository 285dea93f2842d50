"""Judged by others' tables: experiments whose published values stand beside ours.

``python -m benchmarks.quality EXPERIMENT --budget MINUTES --seeds 0 1 2`` runs what is missing, and
may be stopped and started again at any time.
"""
