"""Connecting in a browser: one-time links, the pages they open, and what the two services send back."""
