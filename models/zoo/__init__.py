"""The trained networks that come with edgesnn: data, no code."""
