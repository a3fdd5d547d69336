"""The way back: an ONNX graph of plain operators as a Caffe net."""
