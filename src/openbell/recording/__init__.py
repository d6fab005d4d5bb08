"""From a source into a store: importing files."""
