"""From nets to ONNX graphs: forward, backward, update."""
