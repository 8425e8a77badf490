"""Signatures that providers want in place of a key. Pure: credentials and instants arrive as arguments."""
