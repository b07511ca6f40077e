"""From the world to what the network takes: events, sound, pictures and frames."""
