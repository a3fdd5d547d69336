"""``caffe.proto``: the message classes of Caffe's schema."""

from vggrepro.pycaffe.proto import caffe_pb2 as caffe_pb2
