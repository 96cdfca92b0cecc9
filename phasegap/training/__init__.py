"""Watching a training from within: the Keras callback `PhaseGapCheck` and what it is made of."""
