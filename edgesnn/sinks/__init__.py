"""Sinks: what shows or stores decisions and events."""
