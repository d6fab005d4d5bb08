"""Strategies in other languages: channels and messages, history, the private Redis."""
