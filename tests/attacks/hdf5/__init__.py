"""`.h5` files."""
