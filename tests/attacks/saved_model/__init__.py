"""Archives of SavedModel folders."""
