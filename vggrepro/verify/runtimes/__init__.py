"""Running a written ONNX file in the runtimes that a user may have, each in a process of its own."""
