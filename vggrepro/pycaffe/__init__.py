"""The ``caffe`` Python module of BVLC Caffe 1.0, on ONNX Runtime."""

from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.solver import *

TRAIN, TEST = 0, 1
