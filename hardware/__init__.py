"""Backends: what executes an integer program."""
