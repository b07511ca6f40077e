"""The primitives of the integer program, one file each: data, checks, meaning, ONNX operators."""
