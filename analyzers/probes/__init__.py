"""What is measured beyond the phases themselves: one file per family of layers or kind of check."""
