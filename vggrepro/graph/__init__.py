"""From nets to ONNX graphs: forward, gradient, training step, validation, update."""
