"""Sources of event packets: cameras, recordings, synthetic scenes."""
