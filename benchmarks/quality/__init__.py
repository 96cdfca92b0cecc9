"""How often the diagnosis is right, on fresh specimens by mechanism, architecture, severity and size."""
