"""Exercises: write the backward passes of a GAN yourself, graded by mathematics.

``minigan learn start exercises`` lays them out; a check runs the reader's file in a process of its
own, and compares what it gives with a reference and with finite differences.
"""
