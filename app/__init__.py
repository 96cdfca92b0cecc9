"""PhaseGap: the service around the `analyzers` library."""

__version__ = "0.1.0"
