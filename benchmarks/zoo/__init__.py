"""Models that nobody here wrote: Keras' own architectures and layers, and what packages ship.

Specimens of `benchmarks.quality` are made to be ill in a known way. Here nothing is made to be found: the question is
whether a diagnosis survives what others build, keeps its promises on it, and leaves it in peace.
"""
