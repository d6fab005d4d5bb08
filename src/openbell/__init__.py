"""openbell: from the opening bell to the close."""

__version__ = "0.1.0"
