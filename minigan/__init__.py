"""minigan: a GAN engine whose every derivative is written by hand.

Arrays are batch first, channels last: (N, features) or (N, height, width, channels).
"""

__version__ = "0.1.0"
