"""vggrepro: Caffe models to ONNX, and the VGG paper's training and evaluation on ONNX Runtime."""

__version__ = "0.1.0"
