"""The run: ring, slicer, loop, and what may watch it."""
