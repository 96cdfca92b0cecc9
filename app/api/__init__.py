"""The JSON API: one file a resource, schemas beside them."""
