"""From what the network gives to decisions: readouts, exit rules."""
