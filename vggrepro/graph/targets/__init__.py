"""What other runtimes need of a graph: plainer operators, fixed sizes, and no operator that they lack."""

TARGET_NAMES = ("onnxruntime", "opencv5", "opencv4", "openvino", "tensorrt", "ncnn", "web")
"""The targets of ``table.py``, for those who only offer them."""
