"""The edge: settings, wiring, command line."""
