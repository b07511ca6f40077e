"""Hand and arm gestures: simulator, data, network, training, conversion."""
