"""The session engine: plays recorded sessions again, in order, always the same way."""
