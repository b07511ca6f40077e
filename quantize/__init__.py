"""From a trained network to an exact integer program."""
