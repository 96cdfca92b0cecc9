"""`.keras` archives."""
