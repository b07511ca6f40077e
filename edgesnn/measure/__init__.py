"""How good and how fast: evaluation, operations, profile."""
